// RequestParser reads the head of one HTTP/1.0 or 1.1 request in place: llhttp takes it apart, and what
// llhttp lets pass but RFC 9112 forbids is refused here, because two programs that read the same bytes
// differently can be made to smuggle requests. Nothing is copied and nothing allocated; one parser serves all
// connections of a worker, and what a connection keeps of an unfinished head is a HeadProgress. How the bytes
// were cut into pieces never changes the result. Runs in: worker.
#pragma once

#include "modules/http/request_head.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <llhttp.h>

namespace drover::http {

struct RequestLimits {
    std::size_t head_size =
        16 * 1024;  // bytes of request line and headers together, else 431 (414 in the request line)
    std::size_t target_size = 8 * 1024;  // bytes of the request target, else 414
    unsigned header_count = 100;         // else 431
};

// What is known of an unfinished head: its owner passes it with the same bytes, and more, again.
struct HeadProgress {
    std::uint32_t scanned = 0;     // bytes without a line's end
    std::uint32_t line_start = 0;  // of the line that is unfinished
    std::uint8_t empty_lines = 0;  // consumed before the request
};

enum class HeadState : std::uint8_t { incomplete, complete, refused };

struct HeadResult {
    HeadState state = HeadState::incomplete;
    std::size_t consumed = 0;  // complete: the head; incomplete: empty lines before it
    unsigned status = 0;       // refused: what to answer before closing
};

class RequestParser {
  public:
    // Empty lines that may stand before a request (RFC 9112, 2.2).
    static constexpr unsigned max_empty_lines = 4;

    explicit RequestParser(const RequestLimits& limits = {});
    RequestParser(const RequestParser&) = delete;
    RequestParser& operator=(const RequestParser&) = delete;

    // `input` starts where the request does. `progress` is new for each request and reset here when the head
    // is complete.
    HeadResult parse(std::string_view input, HeadProgress& progress);

    // Of the last head that was complete, as long as its bytes stay.
    const RequestHead& head() const noexcept { return head_; }

  private:
    struct Callbacks;  // llhttp's

    HeadResult parse_complete(std::string_view bytes);
    unsigned check_line(std::string_view line, bool is_request_line) const noexcept;
    unsigned check_request_line(std::string_view line) const noexcept;
    bool begin_header(std::string_view name) noexcept;
    bool end_header() noexcept;
    bool take_content_length(std::string_view value) noexcept;
    bool take_transfer_encoding(std::string_view list) noexcept;
    bool take_connection(std::string_view list) noexcept;
    bool take_expect(std::string_view value) noexcept;
    bool finish_head() noexcept;
    bool finish_target() noexcept;
    bool finish_framing() noexcept;
    bool refuse(unsigned status) noexcept;

    RequestLimits limits_;
    llhttp_t llhttp_;
    RequestHead head_;
    unsigned refusal_ = 0;  // status of the head being parsed; 0: none so far
    std::string_view header_name_;
    std::string_view header_value_;
    unsigned header_count_ = 0;
    bool has_host_ = false;
    bool has_content_length_ = false;
    bool has_transfer_encoding_ = false;
    bool last_coding_is_chunked_ = false;
    bool unknown_coding_ = false;
    bool asks_keep_alive_ = false;
    bool asks_close_ = false;
};

}  // namespace drover::http
