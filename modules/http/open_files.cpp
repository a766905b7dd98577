#include "modules/http/open_files.h"

#include "core/system_error.h"
#include "modules/http/http_date.h"
#include "modules/http/http_syntax.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
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

int open_root(const std::string& path) noexcept {
    return ::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
}

bool same_file(const struct stat& left, const struct stat& right) noexcept {
    return left.st_dev == right.st_dev && left.st_ino == right.st_ino && left.st_size == right.st_size &&
           left.st_mtim.tv_sec == right.st_mtim.tv_sec && left.st_mtim.tv_nsec == right.st_mtim.tv_nsec;
}

}  // namespace

std::string_view builtin_type(std::string_view name) noexcept {
    const std::string_view ending = ending_of(name);
    for (const KnownType& known : known_types)
        if (equals_ignoring_case(ending, known.ending)) return known.type;
    return "application/octet-stream";
}

FileRoot::FileRoot(std::string path)
    : path_(std::move(path)), directory_(check_call(open_root(path_), "open root", path_)) {}

void FileRoot::reopen() noexcept {
    if (UniqueFd again(open_root(path_)); again) directory_ = std::move(again);
}

UniqueFd FileRoot::open(const std::string& name) const noexcept {
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

OpenFiles::Found OpenFiles::open(const FileRoot& root, const std::string& name) const {
    UniqueFd fd = root.open(name);
    auto file = std::make_shared<OpenFile>();
    if (!fd || ::fstat(fd.get(), &file->status) != 0) return {.error = errno};
    if (S_ISDIR(file->status.st_mode)) return {.is_directory = true};
    // A device, a FIFO or a socket is nothing to read from.
    if (!S_ISREG(file->status.st_mode)) return {.error = ENOENT};
    const timespec& modified = file->status.st_mtim;
    const auto nanoseconds = static_cast<std::uint64_t>(modified.tv_sec) * 1'000'000'000 +
                             static_cast<std::uint64_t>(modified.tv_nsec);
    file->etag = fmt::format("\"{:x}-{:x}\"", nanoseconds, file->size());
    file->last_modified = format_date(modified.tv_sec);
    file->fields = fmt::format("Last-Modified: {}\r\nETag: {}\r\nAccept-Ranges: bytes\r\n",
                               file->last_modified, file->etag);
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

OpenFiles::Found OpenFiles::find(const FileRoot& root, std::string_view name) {
    const auto id = reinterpret_cast<std::uintptr_t>(&root);
    key_.assign(reinterpret_cast<const char*>(&id), sizeof id).append(name);
    const std::int64_t now = loop_.now_ms();
    const auto known = by_key_.find(key_);
    if (known != by_key_.end()) {
        const auto entry = known->second;
        if (now - entry->file->checked_ms <= options_.open_files_check_ms) {
            entries_.splice(entries_.begin(), entries_, entry);
            return {.file = entry->file};
        }
    }
    Found found = open(root, std::string(name));
    if (known != by_key_.end()) {
        const auto entry = known->second;
        const bool same = found.file != nullptr && same_file(found.file->status, entry->file->status);
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
