// OpenFiles keeps the files open that were asked for lately, so that most requests need no open(2). An entry
// that was not looked at for open_files_check, or whose file has changed, is opened again. Owned by an
// HttpServer; every reload empties it, whatever else that changes (FileHandler). Runs in: worker.
#pragma once

#include "core/base/unique_fd.h"
#include "core/loop/event_loop.h"
#include "modules/http/file_validators.h"
#include "modules/http/http_options.h"
#include "worker/stream/file_range.h"

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include <sys/stat.h>

namespace drover::http {

// A directory that files are served from. Nothing outside of it can be named: not by "..", not by links.
// Special state: missing, while its name means no directory that can be opened.
class FileRoot {
  public:
    // `label` is another one for each root of an OpenFiles, and the same in every generation.
    explicit FileRoot(std::string path, std::string label = {})
        : path_(std::move(path)), label_(std::move(label)) {
        look_again();
    }
    // Finds the directory by its name again: a link may mean another one by now. True when it is another one
    // than before, or missing now. A shortage changes nothing.
    bool look_again() noexcept;
    const std::string& path() const noexcept { return path_; }
    const std::string& label() const noexcept { return label_; }
    // Why it is missing (errno); 0: it is not.
    int error() const noexcept { return directory_ ? 0 : error_; }

    // A file or directory for reading, named from the root, without a '/' in front; "" is the root itself.
    // None: errno says why. Does not wait for the other end of a FIFO.
    UniqueFd open(const std::string& name) const noexcept;

    // For tests: as on a kernel, or behind a filter, that does not have openat2(2).
    void forget_openat2() noexcept { has_openat2_ = false; }

  private:
    UniqueFd open_by_steps(const std::string& name) const noexcept;
    bool is_same(const struct stat& status) const noexcept;

    std::string path_;
    std::string label_;
    UniqueFd directory_;  // none: missing, for the reason `error_`
    int error_ = 0;
    bool has_openat2_ = true;
};

// A file as it was when it was opened, or found to be still the same. Shared by the cache and by who sends
// it.
struct OpenFile {
    SharedFd file;
    struct stat status {};
    Validators validators;
    std::string fields;     // Last-Modified, ETag: complete lines
    std::string_view type;  // Content-Type
    std::int64_t checked_ms = 0;

    std::uint64_t size() const noexcept { return static_cast<std::uint64_t>(status.st_size); }
};

class OpenFiles {
  public:
    // `options` must stay. `before`, of the generation before this one, or null, passes on what it has seen.
    OpenFiles(EventLoop& loop, const HttpOptions& options, const OpenFiles* before = nullptr)
        : loop_(loop),
          options_(options),
          validators_(before != nullptr ? before->validators_ : std::make_shared<FileValidators>()) {}

    struct Found {
        std::shared_ptr<const OpenFile> file = {};  // null: not a regular file that can be read
        bool is_directory = false;
        int error = 0;  // errno, when nothing could be opened
    };
    Found find(const FileRoot& root, std::string_view name);
    // Empties it when that many reloads are another number than the last time: once for all routes.
    void follow(std::uint64_t reloads) noexcept;
    void clear() noexcept;
    // Leaves out the files of that root, which is another directory now.
    void forget(const FileRoot& root) noexcept;
    // Whether what was looked at then has to be looked at again.
    bool is_due(std::int64_t looked_at_ms) const noexcept {
        return loop_.now_ms() - looked_at_ms > options_.open_files_check_ms;
    }

    // The media type of a file of that name.
    std::string_view type_of(std::string_view name) const noexcept;
    std::size_t size() const noexcept { return entries_.size(); }

  private:
    struct Entry {
        std::string key;
        std::shared_ptr<OpenFile> file;
    };
    Found open(const FileRoot& root, std::string_view name) const;
    bool may_still_use(const OpenFile& file) const noexcept;
    void keep(std::shared_ptr<OpenFile> file);

    EventLoop& loop_;
    const HttpOptions& options_;
    std::shared_ptr<FileValidators> validators_;
    std::list<Entry> entries_;  // the one that was used last first
    std::unordered_map<std::string_view, std::list<Entry>::iterator> by_key_;
    std::uint64_t reloads_ = 0;
    std::string key_;  // the root's label and the name being looked for
};

// "text/html" for "a.html"; what is not known is application/octet-stream.
std::string_view builtin_type(std::string_view name) noexcept;

}  // namespace drover::http
