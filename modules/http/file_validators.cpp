#include "modules/http/file_validators.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#define XXH_INLINE_ALL  // no library to link
#include <xxhash.h>

namespace drover::http {

namespace {

constexpr std::time_t first_day_s = 24 * 60 * 60;
// The coarsest resolution of a file system's times (FAT).
constexpr std::time_t young_s = 2;

bool same_time(const timespec& left, const timespec& right) noexcept {
    return left.tv_sec == right.tv_sec && left.tv_nsec == right.tv_nsec;
}

// Empty when the file has changed meanwhile, or cannot be read.
std::string tag_of_contents(int file, std::size_t size) {
    XXH64_state_t hash;
    XXH64_reset(&hash, 0);
    std::array<char, 64 * 1024> piece;  // NOLINT(cppcoreguidelines-pro-type-member-init): read into
    std::size_t at = 0;
    while (at < size) {
        const std::size_t wanted = std::min(piece.size(), size - at);
        const ssize_t got = ::pread(file, piece.data(), wanted, static_cast<off_t>(at));
        if (got <= 0) return {};
        XXH64_update(&hash, piece.data(), static_cast<std::size_t>(got));
        at += static_cast<std::size_t>(got);
    }
    return fmt::format("\"{:016x}\"", XXH64_digest(&hash));
}

std::string tag_of_times(std::string_view name, const struct stat& status) {
    const auto nanoseconds = static_cast<std::uint64_t>(status.st_mtim.tv_sec) * 1'000'000'000 +
                             static_cast<std::uint64_t>(status.st_mtim.tv_nsec);
    return fmt::format("\"{:x}-{:x}{}\"", nanoseconds, static_cast<std::uint64_t>(status.st_size),
                       name.ends_with(".gz") ? "-gz" : "");
}

}  // namespace

TagSource choose_tag_source(const struct stat& status, std::time_t now, bool is_ambiguous) noexcept {
    const std::time_t modified = status.st_mtim.tv_sec;
    if (is_ambiguous || modified <= first_day_s || modified > now)
        return status.st_size > FileValidators::max_read_bytes ? TagSource::nothing : TagSource::contents;
    return now - modified < young_s ? TagSource::young_times : TagSource::times;
}

bool same_time_and_size(const struct stat& left, const struct stat& right) noexcept {
    return left.st_size == right.st_size && same_time(left.st_mtim, right.st_mtim);
}

bool same_file(const struct stat& left, const struct stat& right) noexcept {
    return left.st_dev == right.st_dev && left.st_ino == right.st_ino &&
           same_time(left.st_ctim, right.st_ctim) && same_time_and_size(left, right);
}

FileValidators::Seen& FileValidators::seen_as(const std::string& name) {
    if (const auto known = by_name_.find(name); known != by_name_.end()) return seen_[known->second];
    std::size_t index = seen_.size();
    // The entry has its name before the name leads to it: either may throw for want of memory.
    Seen fresh{.name = name};
    if (index < max_names) {
        seen_.push_back(std::move(fresh));
    } else {
        index = random_() % max_names;
        by_name_.erase(seen_[index].name);
        seen_[index] = std::move(fresh);
    }
    by_name_.emplace(name, index);
    return seen_[index];
}

bool FileValidators::may_read(std::int64_t size, std::time_t now) noexcept {
    if (std::exchange(second_, now) != now) read_in_second_ = 0;
    if (read_in_second_ + size > max_read_bytes_a_second) return false;
    read_in_second_ += size;
    bytes_read_ += static_cast<std::uint64_t>(size);
    return true;
}

Validators FileValidators::find(const std::string& name, int file, const struct stat& status,
                                std::time_t now) {
    Seen& seen = seen_as(name);
    const bool is_new = seen.status.st_mode == 0;
    const bool same_times = !is_new && same_time_and_size(seen.status, status);
    const bool same_version = same_times && same_file(seen.status, status);
    seen.is_ambiguous = same_times && (seen.is_ambiguous || !same_version);
    if (!same_version) seen.content_tag.clear();
    seen.status = status;
    switch (choose_tag_source(status, now, seen.is_ambiguous)) {
        case TagSource::times:
            return {tag_of_times(name, status), status.st_mtim.tv_sec};
        case TagSource::young_times:
            return {"W/" + tag_of_times(name, status), status.st_mtim.tv_sec};
        case TagSource::contents:
            if (seen.content_tag.empty() && may_read(status.st_size, now))
                seen.content_tag = tag_of_contents(file, static_cast<std::size_t>(status.st_size));
            return {seen.content_tag, {}};
        case TagSource::nothing:
            break;
    }
    return {};
}

}  // namespace drover::http
