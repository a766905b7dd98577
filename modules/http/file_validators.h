// What tells one version of a file from another (RFC 9110, 8.8): its tag and its date, as far as they can be
// believed. FileValidators remembers the versions that a worker has seen, for those that are told apart by
// their contents alone. Owned by OpenFiles, and passed on from one generation to the next. Runs in: worker.
#pragma once

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include <sys/stat.h>

namespace drover::http {

struct Validators {
    std::string etag;                     // with its quotes, "W/" in front when it is weak; empty: none
    std::optional<std::time_t> modified;  // none: the date says nothing of the contents
};

// What the tag of a file is made of.
enum class TagSource : std::uint8_t {
    times,        // modification time and size
    young_times,  // the same, weak: the file may be written again within the clock's resolution
    contents,
    nothing,  // the contents would have to be read, and are too many
};
// `is_ambiguous`: another file of this name had the same time and size. A date of the first day (packages
// that set all dates to one) or in the future is none.
TagSource choose_tag_source(const struct stat& status, std::time_t now, bool is_ambiguous) noexcept;

// XXH64 with the seed 0.
std::uint64_t content_hash(std::string_view bytes) noexcept;

class FileValidators {
  public:
    // The contents of larger files are not read for a tag: it would hold up the worker's other connections.
    static constexpr std::int64_t max_read_bytes = 4 * 1024 * 1024;
    // When there are more names, all are forgotten.
    static constexpr std::size_t max_names = 4096;

    // Of an open regular file, by the name that clients know it by. "NAME.gz" has another tag than NAME of
    // the same time and size.
    Validators find(const std::string& name, int file, const struct stat& status, std::time_t now);
    std::size_t size() const noexcept { return seen_.size(); }

  private:
    struct Seen {
        struct stat status {};
        bool is_ambiguous = false;
        std::string content_tag;  // empty: not made yet, or the file cannot be read
    };

    std::unordered_map<std::string, Seen> seen_;
};

}  // namespace drover::http
