// What the server says: status lines, the Date header, and replies as complete byte strings.
// Runs in: worker, on its one thread.
#pragma once

#include <array>
#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

namespace drover::http {

// "Not Found"; empty for a status that has no registered phrase.
std::string_view reason_phrase(unsigned status) noexcept;

// 204 and 304 end with their headers (RFC 9110, 6.4.1).
constexpr bool status_has_body(unsigned status) noexcept {
    return status != 204 && status != 304;
}

// The present as RFC 9110, 5.6.7 writes it, refreshed once a second.
class HttpDate {
  public:
    static constexpr std::size_t size = 29;

    HttpDate() noexcept { refresh(); }
    // Reads the clock.
    void refresh() noexcept;
    // To be given a time, for tests.
    void set(std::time_t second) noexcept;

    std::time_t second() const noexcept { return second_; }
    std::string_view text() const noexcept { return {text_.data(), size}; }

  private:
    std::time_t second_ = -1;
    std::array<char, size + 1> text_{};
};

// What a reply says of the connection. 1.1 keeps it without a word, 1.0 wants to be told.
enum class Persistence : std::uint8_t { keep, keep_said, close };
inline constexpr std::size_t persistence_count = 3;

// The head of a reply, all but date and persistence.
struct ReplyHead {
    unsigned status = 200;
    std::string_view type;                // empty: no Content-Type
    std::string_view extra_headers;       // complete lines, or empty
    std::optional<std::uint64_t> length;  // Content-Length
    bool chunked = false;
};
// Length and chunks are left out for a status that has no body.
void append_head(std::string& out, const ReplyHead& head, Persistence persistence, const HttpDate& date);

struct Reply {
    unsigned status = 200;
    std::string_view type;           // empty: no Content-Type
    std::string_view extra_headers;  // complete lines, or empty
    std::string_view body;
};

// Appends the reply; without its body when `head_only`, the answer to HEAD.
void append_reply(std::string& out, const Reply& reply, Persistence persistence, bool head_only,
                  const HttpDate& date);

// "404 Not Found\n", the body of an error that has no page of its own.
std::string error_text(unsigned status);

// A reply that is always the same but for its date: each form is built once and sent as it is.
class FixedReply {
  public:
    explicit FixedReply(const Reply& reply);

    unsigned status() const noexcept { return status_; }
    std::size_t body_size() const noexcept { return body_size_; }
    // Valid until the next call.
    std::string_view bytes(Persistence persistence, bool head_only, const HttpDate& date) noexcept;

  private:
    struct Form {
        std::string bytes;
        std::size_t head_size = 0;
        std::time_t second = 0;  // that its date says
    };

    unsigned status_;
    std::size_t body_size_;
    std::size_t date_offset_;
    std::array<Form, persistence_count> forms_;
};

}  // namespace drover::http
