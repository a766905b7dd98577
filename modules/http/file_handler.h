// FileHandler answers a route with the files of a directory: sendfile(2), ranges, preconditions, an index or
// a listing for directories, FILE.gz for who accepts it. Runs in: worker.
#pragma once

#include "modules/http/file_conditions.h"
#include "modules/http/http_options.h"
#include "modules/http/open_files.h"
#include "modules/http/request_handler.h"

#include <string>

namespace drover::http {

class FileHandler final : public RequestHandler {
  public:
    // All but `root` must stay. A root that is missing is answered with an error until it is there.
    FileHandler(const Services& services, OpenFiles& files, const RouteOptions& route,
                const std::string& root);

    void handle(const Request& request, Response response) override;

  private:
    void follow_root();
    void log_missing() const;
    OpenFiles::Found find_compressed(std::string_view name, const OpenFiles::Found& plain,
                                     const FileConditions& conditions);
    void send(const Request& request, Response& response, const OpenFile& file,
              const FileConditions& conditions, std::string_view coding) const;
    static void send_parts(Response& response, const OpenFile& file, const std::vector<ByteRange>& ranges,
                           std::string_view type);
    void send_directory(const Request& request, Response& response, const std::string& name) const;
    static void send_failure(Response& response, int error);

    const Services& services_;
    OpenFiles& files_;
    const RouteOptions& route_;
    FileRoot root_;
    std::uint64_t reloads_;  // when the root was looked up
    std::int64_t looked_up_ms_;
    std::string name_;  // of the file being answered with; kept for its memory
};

}  // namespace drover::http
