#include "modules/http/open_files.h"

#include "core/base/system_error.h"
#include "modules/http/http_date.h"
#include "modules/http/http_syntax.h"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <iterator>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/syscall.h>

namespace drover::http {

namespace {

constexpr int open_flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;

struct KnownType {
    std::string_view ending;
    std::string_view type;
};

constexpr KnownType known_types[] = {
    {"html", "text/html"},
    {"css", "text/css"},
    {"js", "text/javascript"},
    {"mjs", "text/javascript"},
    {"json", "application/json"},
    {"txt", "text/plain"},
    {"png", "image/png"},
    {"jpg", "image/jpeg"},
    {"jpeg", "image/jpeg"},
    {"svg", "image/svg+xml"},
    {"gif", "image/gif"},
    {"webp", "image/webp"},
    {"avif", "image/avif"},
    {"ico", "image/x-icon"},
    {"woff2", "font/woff2"},
    {"woff", "font/woff"},
    {"ttf", "font/ttf"},
    {"otf", "font/otf"},
    {"htm", "text/html"},
    {"xml", "text/xml"},
    {"csv", "text/csv"},
    {"md", "text/markdown"},
    {"log", "text/plain"},
    {"ics", "text/calendar"},
    {"map", "application/json"},
    {"wasm", "application/wasm"},
    {"pdf", "application/pdf"},
    {"zip", "application/zip"},
    {"gz", "application/gzip"},
    {"tar", "application/x-tar"},
    {"xz", "application/x-xz"},
    {"bz2", "application/x-bzip2"},
    {"zst", "application/zstd"},
    {"7z", "application/x-7z-compressed"},
    {"deb", "application/vnd.debian.binary-package"},
    {"rss", "application/rss+xml"},
    {"atom", "application/atom+xml"},
    {"xhtml", "application/xhtml+xml"},
    {"webmanifest", "application/manifest+json"},
    {"bmp", "image/bmp"},
    {"tif", "image/tiff"},
    {"tiff", "image/tiff"},
    {"mp3", "audio/mpeg"},
    {"ogg", "audio/ogg"},
    {"opus", "audio/opus"},
    {"flac", "audio/flac"},
    {"wav", "audio/wav"},
    {"m4a", "audio/mp4"},
    {"mp4", "video/mp4"},
    {"webm", "video/webm"},
    {"mov", "video/quicktime"},
    {"mkv", "video/x-matroska"},
    {"avi", "video/x-msvideo"},
};

std::string_view ending_of(std::string_view name) noexcept {
    const std::size_t dot = name.rfind('.');
    const bool has_ending = dot != std::string_view::npos && name.find('/', dot) == std::string_view::npos;
    return has_ending ? name.substr(dot + 1) : std::string_view();
}

std::string key_of(const FileRoot& root) {
    return root.label() + '\0';
}

// Not time(3): its coarse clock is behind the one that gives a file its time, which would be in the future.
std::time_t present_second() noexcept {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec;
}

}  // namespace

std::string_view builtin_type(std::string_view name) noexcept {
    const std::string_view ending = ending_of(name);
    for (const KnownType& known : known_types)
        if (equals_ignoring_case(ending, known.ending)) return known.type;
    return "application/octet-stream";
}

bool FileRoot::look_again() noexcept {
    struct stat status {};
    if (::stat(path_.c_str(), &status) == 0) {
        if (is_same(status)) return false;
        UniqueFd next(::open(path_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (next) {
            directory_ = std::move(next);
            return true;
        }
    }
    const int error = errno;
    if (directory_ && is_shortage(std::error_code(error, std::generic_category()))) return false;
    error_ = error;
    return std::exchange(directory_, UniqueFd()).get() >= 0;
}

bool FileRoot::is_same(const struct stat& status) const noexcept {
    struct stat own {};
    return directory_ && ::fstat(directory_.get(), &own) == 0 && own.st_dev == status.st_dev &&
           own.st_ino == status.st_ino;
}

UniqueFd FileRoot::open(const std::string& name) const noexcept {
    if (!directory_) {
        errno = error_;
        return {};
    }
    if (has_openat2_) {
        open_how how{};
        how.flags = open_flags;
        how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
        const char* const path = name.empty() ? "." : name.c_str();
        // EAGAIN: something was renamed at that moment (openat2(2)).
        for (int attempt = 0; attempt < 4; ++attempt) {
            const long fd = ::syscall(SYS_openat2, directory_.get(), path, &how, sizeof how);
            if (fd >= 0) return UniqueFd(static_cast<int>(fd));
            if (errno == ENOSYS || errno == EPERM) return open_by_steps(name);
            if (errno != EAGAIN) break;
        }
        return {};
    }
    return open_by_steps(name);
}

// Follows no link at all: it cannot tell where one leads without a race.
UniqueFd FileRoot::open_by_steps(const std::string& name) const noexcept {
    UniqueFd directory;
    std::string_view rest = name;
    for (;;) {
        const std::size_t slash = rest.find('/');
        const std::string_view step = rest.substr(0, slash);
        if (step == ".." || step.size() > NAME_MAX) {
            errno = ENOENT;
            return {};
        }
        char text[NAME_MAX + 1] = ".";
        if (!step.empty()) text[step.copy(text, NAME_MAX)] = '\0';
        const bool is_last = slash == std::string_view::npos || slash + 1 == rest.size();
        const int flags = is_last ? open_flags : O_PATH | O_DIRECTORY | O_CLOEXEC;
        const int must_be_directory = slash != std::string_view::npos ? O_DIRECTORY : 0;
        const int from = directory ? directory.get() : directory_.get();
        UniqueFd next(::openat(from, text, flags | O_NOFOLLOW | must_be_directory));
        if (!next || is_last) return next;
        directory = std::move(next);
        rest.remove_prefix(slash + 1);
    }
}

std::string_view OpenFiles::type_of(std::string_view name) const noexcept {
    const std::string_view ending = ending_of(name);
    for (const std::string_view entry : options_.types) {
        const std::size_t blank = entry.find(' ');
        if (entry.substr(0, blank) == ending) return trim_blanks(entry.substr(blank));
    }
    return builtin_type(name);
}

// key_ is that of this root and name.
OpenFiles::Found OpenFiles::open(const FileRoot& root, std::string_view name) const {
    UniqueFd fd = root.open(std::string(name));
    auto file = std::make_shared<OpenFile>();
    if (!fd || ::fstat(fd.get(), &file->status) != 0) return {.error = errno};
    if (S_ISDIR(file->status.st_mode)) return {.is_directory = true};
    // A device, a FIFO or a socket is nothing to read from.
    if (!S_ISREG(file->status.st_mode)) return {.error = ENOENT};
    file->validators = validators_->find(key_, fd.get(), file->status, present_second());
    if (file->validators.modified)
        file->fields = fmt::format("Last-Modified: {}\r\n", format_date(*file->validators.modified));
    if (!file->validators.etag.empty()) file->fields += fmt::format("ETag: {}\r\n", file->validators.etag);
    file->type = type_of(name);
    file->file = std::make_shared<const UniqueFd>(std::move(fd));
    return {.file = std::move(file)};
}

void OpenFiles::follow(std::uint64_t reloads) noexcept {
    if (std::exchange(reloads_, reloads) != reloads) clear();
}

void OpenFiles::clear() noexcept {
    by_key_.clear();
    entries_.clear();
}

void OpenFiles::forget(const FileRoot& root) noexcept {
    const std::string key = key_of(root);
    for (auto entry = entries_.begin(); entry != entries_.end();) {
        const auto next = std::next(entry);
        if (entry->key.starts_with(key)) {
            by_key_.erase(entry->key);
            entries_.erase(entry);
        }
        entry = next;
    }
}

// One that was rewritten in place has another size than was promised.
bool OpenFiles::may_still_use(const OpenFile& file) const noexcept {
    struct stat status {};
    return !is_due(file.checked_ms) && ::fstat(file.file->get(), &status) == 0 &&
           same_time_and_size(status, file.status);
}

OpenFiles::Found OpenFiles::find(const FileRoot& root, std::string_view name) {
    key_.assign(key_of(root)).append(name);
    const std::int64_t now = loop_.now_ms();
    const auto known = by_key_.find(key_);
    if (known != by_key_.end()) {
        const auto entry = known->second;
        if (may_still_use(*entry->file)) {
            entries_.splice(entries_.begin(), entries_, entry);
            return {.file = entry->file};
        }
    }
    Found found = open(root, name);
    if (known != by_key_.end()) {
        const auto entry = known->second;
        const bool same = found.file != nullptr && same_file(found.file->status, entry->file->status) &&
                          found.file->validators.etag == entry->file->validators.etag;
        if (same) {
            entry->file->checked_ms = now;
            return {.file = entry->file};
        }
        by_key_.erase(known);
        entries_.erase(entry);
    }
    if (found.file != nullptr && options_.open_files > 0) {
        const auto file = std::const_pointer_cast<OpenFile>(found.file);
        file->checked_ms = now;
        keep(file);
    }
    return found;
}

void OpenFiles::keep(std::shared_ptr<OpenFile> file) {
    if (entries_.size() >= options_.open_files) {
        by_key_.erase(entries_.back().key);
        entries_.pop_back();
    }
    entries_.push_front({key_, std::move(file)});
    by_key_.emplace(entries_.front().key, entries_.begin());
}

}  // namespace drover::http
