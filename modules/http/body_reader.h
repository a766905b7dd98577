// BodyReader finds the end of one request body, in any pieces, and what is in it; it keeps nothing.
// Chunked bodies are read as RFC 9112, 7.1 writes them and no more laxly: no bare LF, no blanks around a
// size, no sign, no 0x. Runs in: worker, allocated only while a request has a body.
#pragma once

#include "modules/http/request_parser.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace drover::http {

class BodyReader {
  public:
    // Bytes of chunk extensions and trailers together.
    static constexpr std::size_t max_overhead = 16 * 1024;

    // Of `head.framing`, which is not none. A sized body has been compared with `max_size` already.
    BodyReader(const RequestHead& head, std::uint64_t max_size) noexcept;

    // Returns how many bytes belong to the body: all, unless it ends here or is refused.
    std::size_t read(std::string_view input) noexcept;
    // The same, up to the end of the first bytes of content, which are put into `content` (empty: there are
    // none).
    std::size_t read(std::string_view input, std::string_view& content) noexcept;

    bool done() const noexcept { return state_ == State::done; }
    // The status to refuse with, or 0.
    unsigned refusal() const noexcept { return refusal_; }

  private:
    enum class State : std::uint8_t {
        sized,
        size_first,
        size,
        extension,
        size_lf,
        data,
        data_cr,
        data_lf,
        trailer_first,
        trailer_name,
        trailer_value,
        trailer_lf,
        last_lf,
        done,
        refused,
    };

    State next(char c) noexcept;
    State take_size_digit(char c) noexcept;
    State end_of_size() noexcept;
    State take_overhead(State state) noexcept;
    State refuse(unsigned status) noexcept;

    State state_;
    std::uint16_t refusal_ = 0;
    std::uint32_t overhead_ = 0;
    std::uint64_t remaining_;  // of the sized body or of the chunk
    std::uint64_t room_;       // for chunks to come
};

}  // namespace drover::http
