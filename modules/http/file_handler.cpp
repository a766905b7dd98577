#include "modules/http/file_handler.h"

#include "core/log/log.h"
#include "modules/http/directory_listing.h"
#include "modules/http/path.h"

#include <cerrno>
#include <string_view>
#include <system_error>

#include <fmt/format.h>

namespace drover::http {

namespace {

// Between the parts of several ranges. Files may contain it: who reads the lengths is not misled, and it is
// unlikely enough for the others.
constexpr std::string_view boundary = "drover-part-7d1f0c5e9a3b2846";

std::string part_head(const ByteRange& range, std::uint64_t size, std::string_view type) {
    return fmt::format("\r\n--{}\r\nContent-Type: {}\r\nContent-Range: bytes {}-{}/{}\r\n\r\n", boundary,
                       type, range.offset, range.offset + range.length - 1, size);
}

// Some tools copy a file's time to its compressed one without the part below a second.
bool is_older(const OpenFile& file, const OpenFile& other) noexcept {
    const timespec& time = file.status.st_mtim;
    const timespec& other_time = other.status.st_mtim;
    if (time.tv_sec != other_time.tv_sec) return time.tv_sec < other_time.tv_sec;
    return time.tv_nsec != 0 && time.tv_nsec < other_time.tv_nsec;
}

}  // namespace

FileHandler::FileHandler(const Services& services, OpenFiles& files, const RouteOptions& route,
                         const std::string& root)
    : services_(services),
      files_(files),
      route_(route),
      root_(root, std::string(route.host) + std::string(route.path)),
      reloads_(services.reloads()),
      looked_up_ms_(services.loop.now_ms()) {
    if (root_.error() != 0) log_missing();
}

void FileHandler::log_missing() const {
    services_.log.warning(
        fmt::format("http: the root {} of the route {} cannot be opened: {}; it is looked up again "
                    "every open_files_check",
                    root_.path(), route_.path, std::generic_category().message(root_.error())));
}

// An operator shows new files by a reload, or by a root whose name means another directory.
void FileHandler::follow_root() {
    const std::uint64_t reloads = services_.reloads();
    if (reloads == reloads_ && !files_.is_due(looked_up_ms_)) return;
    reloads_ = reloads;
    looked_up_ms_ = services_.loop.now_ms();
    files_.follow(reloads);
    const bool was_missing = root_.error() != 0;
    if (!root_.look_again()) return;
    files_.forget(root_);
    if (root_.error() != 0) return log_missing();
    if (was_missing)
        services_.log.info(
            fmt::format("http: the root {} of the route {} is there again", root_.path(), route_.path));
}

void FileHandler::handle(const Request& request, Response response) {
    follow_root();
    name_ = request.resolved_path().substr(route_.path.size());
    const bool names_directory = name_.empty() || name_.back() == '/';
    std::string directory;
    if (names_directory) {
        if (route_.index.empty()) return send_directory(request, response, name_);
        directory = name_;
        name_.append(route_.index);
    }
    const FileConditions conditions = find_conditions(request.fields());
    const OpenFiles::Found plain = files_.find(root_, name_);
    const OpenFiles::Found compressed = find_compressed(name_, plain, conditions);
    const OpenFiles::Found& found = compressed.file != nullptr ? compressed : plain;
    if (route_.precompressed) response.header("Vary", "Accept-Encoding");
    if (found.file != nullptr) {
        const std::string_view coding =
            compressed.file != nullptr ? "Content-Encoding: gzip\r\n" : std::string_view();
        return send(request, response, *found.file, conditions, coding);
    }
    if (names_directory && !found.is_directory && found.error == ENOENT)
        return send_directory(request, response, directory);
    if (!found.is_directory || names_directory) return send_failure(response, found.error);
    // A relative link in its index must mean what is in it.
    std::string location;
    append_escaped_path(location, request.resolved_path());
    location.push_back('/');
    if (!request.query().empty()) location.append("?").append(request.query());
    response.header("Location", location).send(301, {}, {});
}

// One that is older than its file, or empty, was not made of it.
OpenFiles::Found FileHandler::find_compressed(std::string_view name, const OpenFiles::Found& plain,
                                              const FileConditions& conditions) {
    const bool may_be_there = plain.file != nullptr || (!plain.is_directory && plain.error == ENOENT);
    if (!route_.precompressed || !may_be_there || !accepts_gzip(conditions.accept_encoding)) return {};
    OpenFiles::Found found = files_.find(root_, std::string(name) + ".gz");
    if (found.file == nullptr || found.file->size() == 0) return {};
    if (plain.file != nullptr && is_older(*found.file, *plain.file)) return {};
    // Its type is that of what is in it.
    const auto described = std::make_shared<OpenFile>(*found.file);
    described->type = files_.type_of(name);
    found.file = described;
    return found;
}

// The headers of the file are for what is sent of it: 412 and 416 have a text of their own, and 304 has no
// more than what a cache needs (RFC 9110, 15.4.5).
void FileHandler::send(const Request& request, Response& response, const OpenFile& file,
                       const FileConditions& conditions, std::string_view coding) const {
    const FileState state{
        .etag = file.validators.etag, .modified = file.validators.modified, .size = file.size()};
    const unsigned status = check_preconditions(conditions, state);
    if (status == 412) return response.send_error(412);
    if (status == 304) return response.lines(file.fields).send(304, {}, {});
    RangeChoice choice;
    if (!conditions.range.empty() && !request.is_head()) choice = choose_ranges(conditions, state);
    if (choice.status == 416) {
        response.header("Content-Range", fmt::format("bytes */{}", state.size));
        return response.send_error(416);
    }
    response.lines(file.fields).lines("Accept-Ranges: bytes\r\n").lines(coding);
    if (choice.ranges.size() > 1) return send_parts(response, file, choice.ranges, file.type);
    response.type(file.type).status(choice.status);
    FileRange body{file.file, 0, state.size};
    if (!choice.ranges.empty()) {
        const ByteRange range = choice.ranges.front();
        body.offset = range.offset;
        body.length = range.length;
        response.header("Content-Range", fmt::format("bytes {}-{}/{}", range.offset,
                                                     range.offset + range.length - 1, state.size));
    }
    response.send_file(std::move(body));
}

void FileHandler::send_parts(Response& response, const OpenFile& file, const std::vector<ByteRange>& ranges,
                             std::string_view type) {
    const std::string end = fmt::format("\r\n--{}--\r\n", boundary);
    std::uint64_t length = end.size();
    for (const ByteRange& range : ranges)
        length += part_head(range, file.size(), type).size() + range.length;
    response.status(206).type(fmt::format("multipart/byteranges; boundary={}", boundary)).begin(length);
    for (const ByteRange& range : ranges) {
        response.write(part_head(range, file.size(), type));
        response.write_file({file.file, range.offset, range.length});
    }
    response.write(end);
    response.end();
}

void FileHandler::send_directory(const Request& request, Response& response, const std::string& name) const {
    if (!route_.listing) return response.send_error(404);
    const UniqueFd directory = root_.open(name);
    if (!directory) return send_failure(response, errno);
    const std::optional<std::string> page = list_directory(directory, request.resolved_path());
    if (!page) return send_failure(response, errno);
    response.send(200, "text/html; charset=utf-8", *page);
}

void FileHandler::send_failure(Response& response, int error) {
    switch (error) {
        case EACCES:
        case EPERM:
            return response.send_error(403);
        case EMFILE:
        case ENFILE:
        case ENOMEM:
            return response.send_error(503);
        case EIO:
            return response.send_error(500);
        default:
            return response.send_error(404);
    }
}

}  // namespace drover::http
