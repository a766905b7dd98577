#include "modules/http/body_reader.h"

#include "modules/http/http_syntax.h"

#include <algorithm>

namespace drover::http {

namespace {

// So that sixteen times a size that fits is no overflow.
constexpr std::uint64_t largest_body = std::uint64_t{1} << 56;

// -1 when it is not one.
int hex_digit(char c) noexcept {
    if (is_digit(c)) return c - '0';
    const char lower = detail::lower(c);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

BodyReader::BodyReader(const RequestHead& head, std::uint64_t max_size) noexcept
    : state_(head.framing == Framing::chunked ? State::size_first : State::sized),
      remaining_(head.content_length),
      room_(std::min(max_size, largest_body)) {}

std::size_t BodyReader::read(std::string_view input) noexcept {
    std::size_t used = 0;
    std::string_view content;
    while (used < input.size() && state_ < State::done)
        used += read(input.substr(used), content);
    return used;
}

std::size_t BodyReader::read(std::string_view input, std::string_view& content) noexcept {
    std::size_t used = 0;
    content = {};
    while (used < input.size() && state_ < State::done) {
        if (state_ != State::sized && state_ != State::data) {
            state_ = next(input[used++]);
            continue;
        }
        const std::uint64_t taken = std::min<std::uint64_t>(remaining_, input.size() - used);
        content = input.substr(used, static_cast<std::size_t>(taken));
        remaining_ -= taken;
        if (remaining_ == 0) state_ = state_ == State::sized ? State::done : State::data_cr;
        return used + content.size();
    }
    return used;
}

BodyReader::State BodyReader::next(char c) noexcept {
    switch (state_) {
        case State::size_first:
            remaining_ = 0;
            return take_size_digit(c);
        case State::size:
            if (c == ';') return take_overhead(State::extension);
            return c == '\r' ? State::size_lf : take_size_digit(c);
        case State::extension:
            if (c == '\r') return State::size_lf;
            return is_field_value_character(c) ? take_overhead(State::extension) : refuse(400);
        case State::size_lf:
            return c == '\n' ? end_of_size() : refuse(400);
        case State::data_cr:
            return c == '\r' ? State::data_lf : refuse(400);
        case State::data_lf:
            return c == '\n' ? State::size_first : refuse(400);
        case State::trailer_first:
            if (c == '\r') return State::last_lf;
            return is_token_character(c) ? take_overhead(State::trailer_name) : refuse(400);
        case State::trailer_name:
            if (c == ':') return take_overhead(State::trailer_value);
            return is_token_character(c) ? take_overhead(State::trailer_name) : refuse(400);
        case State::trailer_value:
            if (c == '\r') return State::trailer_lf;
            return is_field_value_character(c) ? take_overhead(State::trailer_value) : refuse(400);
        case State::trailer_lf:
            return c == '\n' ? State::trailer_first : refuse(400);
        case State::last_lf:
            return c == '\n' ? State::done : refuse(400);
        case State::sized:
        case State::data:
        case State::done:
        case State::refused:
            break;
    }
    return state_;
}

BodyReader::State BodyReader::take_size_digit(char c) noexcept {
    const int digit = hex_digit(c);
    if (digit < 0) return refuse(400);
    // Zeros in front are allowed without number (RFC 9112, 7.1); they are overhead.
    remaining_ = remaining_ * 16 + static_cast<std::uint64_t>(digit);
    if (remaining_ > room_) return refuse(413);
    return remaining_ == 0 ? take_overhead(State::size) : State::size;
}

BodyReader::State BodyReader::end_of_size() noexcept {
    if (remaining_ == 0) return State::trailer_first;
    room_ -= remaining_;
    return State::data;
}

BodyReader::State BodyReader::take_overhead(State state) noexcept {
    return ++overhead_ > max_overhead ? refuse(413) : state;
}

BodyReader::State BodyReader::refuse(unsigned status) noexcept {
    refusal_ = static_cast<std::uint16_t>(status);
    return State::refused;
}

}  // namespace drover::http
