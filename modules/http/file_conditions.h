// What a request's preconditions and ranges mean for a file of a given state: decisions without a system call
// (RFC 9110, sections 13 and 14). Runs in: worker.
#pragma once

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace drover::http {

// The headers that a file's answer depends on; empty: not sent.
struct FileConditions {
    std::string_view if_match;
    std::string_view if_none_match;
    std::string_view if_modified_since;
    std::string_view if_unmodified_since;
    std::string_view if_range;
    std::string_view range;
    std::string_view accept_encoding;
    std::vector<std::string> joined = {};  // lists that came in several lines, which they are views of then

    FileConditions() = default;
    FileConditions(FileConditions&&) = default;
    FileConditions(const FileConditions&) = delete;
    FileConditions& operator=(const FileConditions&) = delete;
};

// Picks them out of a block of header lines. Lines of If-Match, If-None-Match and Accept-Encoding are one
// list each; of the others the first counts.
FileConditions find_conditions(std::string_view fields);

struct FileState {
    std::string_view etag;                // with its quotes, and "W/" when it is weak; empty: none
    std::optional<std::time_t> modified;  // none: not known
    std::uint64_t size = 0;
};

// 200: answer; 304: the client has it; 412: it is not what the client means.
unsigned check_preconditions(const FileConditions& conditions, const FileState& file) noexcept;

struct ByteRange {
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
};

// More are answered with the whole file: who asks for that many wants to make work.
inline constexpr std::size_t max_ranges = 16;

struct RangeChoice {
    unsigned status = 200;  // 200: the whole file; 206: `ranges`; 416: there is no such part
    std::vector<ByteRange> ranges;
};
RangeChoice choose_ranges(const FileConditions& conditions, const FileState& file);

// Whether "gzip" may be sent to who sent this Accept-Encoding: what it says of gzip counts before what it
// says of "*" (RFC 9110, 12.5.3).
bool accepts_gzip(std::string_view accept_encoding) noexcept;

}  // namespace drover::http
