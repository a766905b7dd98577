#include "modules/http/file_validators.h"

#include <array>
#include <bit>
#include <cstring>

#include <endian.h>
#include <fmt/format.h>
#include <unistd.h>

namespace drover::http {

namespace {

constexpr std::time_t first_day_s = 24 * 60 * 60;
// The coarsest resolution of a file system's times (FAT).
constexpr std::time_t young_s = 2;

constexpr std::uint64_t prime_1 = 0x9E3779B185EBCA87;
constexpr std::uint64_t prime_2 = 0xC2B2AE3D27D4EB4F;
constexpr std::uint64_t prime_3 = 0x165667B19E3779F9;
constexpr std::uint64_t prime_4 = 0x85EBCA77C2B2AE63;
constexpr std::uint64_t prime_5 = 0x27D4EB2F165667C5;

std::uint64_t take_64(std::string_view& bytes) noexcept {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), sizeof word);
    bytes.remove_prefix(sizeof word);
    return le64toh(word);
}

std::uint32_t take_32(std::string_view& bytes) noexcept {
    std::uint32_t word = 0;
    std::memcpy(&word, bytes.data(), sizeof word);
    bytes.remove_prefix(sizeof word);
    return le32toh(word);
}

std::uint64_t mix(std::uint64_t lane, std::uint64_t word) noexcept {
    return std::rotl(lane + word * prime_2, 31) * prime_1;
}

std::uint64_t hash_stripes(std::string_view& bytes) noexcept {
    std::array<std::uint64_t, 4> lanes{prime_1 + prime_2, prime_2, 0, 0 - prime_1};
    while (bytes.size() >= 32)
        for (std::uint64_t& lane : lanes)
            lane = mix(lane, take_64(bytes));
    std::uint64_t hash =
        std::rotl(lanes[0], 1) + std::rotl(lanes[1], 7) + std::rotl(lanes[2], 12) + std::rotl(lanes[3], 18);
    for (const std::uint64_t lane : lanes)
        hash = (hash ^ mix(0, lane)) * prime_1 + prime_4;
    return hash;
}

bool same_time(const timespec& left, const timespec& right) noexcept {
    return left.tv_sec == right.tv_sec && left.tv_nsec == right.tv_nsec;
}

bool same_time_and_size(const struct stat& left, const struct stat& right) noexcept {
    return left.st_size == right.st_size && same_time(left.st_mtim, right.st_mtim);
}

bool same_inode(const struct stat& left, const struct stat& right) noexcept {
    return left.st_dev == right.st_dev && left.st_ino == right.st_ino &&
           same_time(left.st_ctim, right.st_ctim);
}

// Empty when the file has changed meanwhile, or cannot be read.
std::string tag_of_contents(int file, std::size_t size) {
    std::string bytes(size, '\0');
    std::size_t at = 0;
    while (at < size) {
        const ssize_t got = ::pread(file, bytes.data() + at, size - at, static_cast<off_t>(at));
        if (got <= 0) return {};
        at += static_cast<std::size_t>(got);
    }
    return fmt::format("\"{:016x}\"", content_hash(bytes));
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

std::uint64_t content_hash(std::string_view bytes) noexcept {
    const std::uint64_t size = bytes.size();
    std::uint64_t hash = (size >= 32 ? hash_stripes(bytes) : prime_5) + size;
    while (bytes.size() >= 8)
        hash = std::rotl(hash ^ mix(0, take_64(bytes)), 27) * prime_1 + prime_4;
    if (bytes.size() >= 4) hash = std::rotl(hash ^ take_32(bytes) * prime_1, 23) * prime_2 + prime_3;
    for (const char byte : bytes)
        hash = std::rotl(hash ^ static_cast<unsigned char>(byte) * prime_5, 11) * prime_1;
    hash = (hash ^ (hash >> 33)) * prime_2;
    hash = (hash ^ (hash >> 29)) * prime_3;
    return hash ^ (hash >> 32);
}

Validators FileValidators::find(const std::string& name, int file, const struct stat& status,
                                std::time_t now) {
    if (seen_.size() >= max_names && !seen_.contains(name)) seen_.clear();
    const auto [entry, is_new] = seen_.try_emplace(name);
    Seen& seen = entry->second;
    const bool same_times = !is_new && same_time_and_size(seen.status, status);
    const bool same_version = same_times && same_inode(seen.status, status);
    seen.is_ambiguous = same_times && (seen.is_ambiguous || !same_version);
    if (!same_version) seen.content_tag.clear();
    seen.status = status;
    switch (choose_tag_source(status, now, seen.is_ambiguous)) {
        case TagSource::times:
            return {tag_of_times(name, status), status.st_mtim.tv_sec};
        case TagSource::young_times:
            return {"W/" + tag_of_times(name, status), status.st_mtim.tv_sec};
        case TagSource::contents:
            if (seen.content_tag.empty())
                seen.content_tag = tag_of_contents(file, static_cast<std::size_t>(status.st_size));
            return {seen.content_tag, {}};
        case TagSource::nothing:
            break;
    }
    return {};
}

}  // namespace drover::http
