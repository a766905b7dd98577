// What tells one version of a file from another (RFC 9110, 8.8): its tag and its date, as far as they can be
// believed. FileValidators remembers the versions that a worker has seen, for those that are told apart by
// their contents alone. Owned by OpenFiles, and passed on from one generation to the next. Runs in: worker.
#pragma once

#include <cstdint>
#include <ctime>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

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
// `is_ambiguous`: another file of this name had the same time and size. A date on the first day of 1970 (some
// packages set all dates to it) or in the future does not count as a date.
TagSource choose_tag_source(const struct stat& status, std::time_t now, bool is_ambiguous) noexcept;

bool same_time_and_size(const struct stat& left, const struct stat& right) noexcept;
// The same inode, too, with the same time of change.
bool same_file(const struct stat& left, const struct stat& right) noexcept;

class FileValidators {
  public:
    // Reading the contents for a tag holds up the worker's other connections: 1 MiB for 0.13 ms when the page
    // cache has it (measured). A larger file has no tag, and neither has one whose turn comes when so much
    // has been read in the present second.
    static constexpr std::int64_t max_read_bytes = 1024 * 1024;
    static constexpr std::int64_t max_read_bytes_a_second = 32 * max_read_bytes;
    // When there are more names, a new one takes the place of one that is picked at random. Clients that ask
    // for all files of a large folder in turn find most names remembered then. If the oldest one went, they
    // would find none.
    static constexpr std::size_t max_names = 4096;

    // Of an open regular file, by the name that clients know it by. "NAME.gz" has another tag than NAME of
    // the same time and size. `now` is the present second.
    Validators find(const std::string& name, int file, const struct stat& status, std::time_t now);
    std::size_t size() const noexcept { return seen_.size(); }
    // How many bytes have been read for tags.
    std::uint64_t bytes_read() const noexcept { return bytes_read_; }

  private:
    struct Seen {
        std::string name;
        struct stat status {};
        bool is_ambiguous = false;
        std::string content_tag = {};  // empty: not made yet, or the file cannot be read
    };
    Seen& seen_as(const std::string& name);
    bool may_read(std::int64_t size, std::time_t now) noexcept;

    std::vector<Seen> seen_;
    std::unordered_map<std::string, std::size_t> by_name_;  // indexes of seen_
    std::minstd_rand random_;
    std::time_t second_ = 0;           // in which the contents were last read
    std::int64_t read_in_second_ = 0;  // bytes
    std::uint64_t bytes_read_ = 0;
};

}  // namespace drover::http
