#include "core/log_line.h"

#include "core/check.h"

#include <algorithm>
#include <cstring>

namespace drover {

namespace {

constexpr std::string_view cut_mark = "...";
constexpr std::string_view hex_digits = "0123456789abcdef";

unsigned byte_at(std::string_view text, std::size_t index) noexcept {
    return static_cast<unsigned char>(text[index]);
}

bool is_in(unsigned byte, unsigned first, unsigned last) noexcept {
    return byte >= first && byte <= last;
}

// Bytes of the character that `text` starts with; 0 when it is not UTF-8 (RFC 3629, the table of section 4).
std::size_t character_size(std::string_view text) noexcept {
    const unsigned lead = byte_at(text, 0);
    if (lead < 0x80) return 1;
    std::size_t size = 0;
    if (is_in(lead, 0xc2, 0xdf)) size = 2;
    if (is_in(lead, 0xe0, 0xef)) size = 3;
    if (is_in(lead, 0xf0, 0xf4)) size = 4;
    if (size == 0 || text.size() < size) return 0;
    const unsigned second_first = lead == 0xe0 ? 0xa0U : lead == 0xf0 ? 0x90U : 0x80U;
    const unsigned second_last = lead == 0xed ? 0x9fU : lead == 0xf4 ? 0x8fU : 0xbfU;
    if (!is_in(byte_at(text, 1), second_first, second_last)) return 0;
    for (std::size_t i = 2; i < size; ++i) {
        if (!is_in(byte_at(text, i), 0x80, 0xbf)) return 0;
    }
    return size;
}

// What one character is written as.
class Escaped {
  public:
    Escaped(std::string_view character, bool valid, LogEscape escape) noexcept {
        const unsigned first = byte_at(character, 0);
        if (!valid) {
            escape == LogEscape::json ? set("\xef\xbf\xbd") : set_hex("\\x", first);
        } else if (character.size() == 2 && first == 0xc2 && byte_at(character, 1) < 0xa0) {
            // U+0080 to U+009F: a terminal obeys them as it obeys escape sequences.
            set_hex("\\u00", byte_at(character, 1));
        } else if (character.size() > 1) {
            set(character);
        } else {
            set_ascii(character, first, escape);
        }
    }
    std::string_view bytes() const noexcept { return {bytes_, size_}; }

  private:
    void set_ascii(std::string_view character, unsigned code, LogEscape escape) noexcept {
        const bool json = escape == LogEscape::json;
        if (code == '\n') return set("\\n");
        if (code == '\r') return set("\\r");
        if (code == '\t') return set("\\t");
        if (code < 0x20 || code == 0x7f) return set_hex(json ? "\\u00" : "\\x", code);
        if (json && code == '"') return set("\\\"");
        if (json && code == '\\') return set("\\\\");
        set(character);
    }
    void set(std::string_view bytes) noexcept { size_ = bytes.copy(bytes_, sizeof bytes_); }
    void set_hex(std::string_view prefix, unsigned byte) noexcept {
        size_ = prefix.copy(bytes_, sizeof bytes_ - 2);
        bytes_[size_++] = hex_digits[byte >> 4U];
        bytes_[size_++] = hex_digits[byte & 0xfU];
    }

    char bytes_[6];
    std::size_t size_ = 0;
};

}  // namespace

void LogLine::begin(std::size_t limit) noexcept {
    DROVER_CHECK(limit >= min_limit && limit <= max_size);
    buffer_[0] = '\n';
    size_ = 0;
    limit_ = limit;
    cut_ = false;
}

std::size_t LogLine::room() const noexcept {
    return limit_ - max_tail - cut_mark.size() - size_;
}

void LogLine::put(std::string_view bytes) noexcept {
    std::memcpy(buffer_.data() + 1 + size_, bytes.data(), bytes.size());
    size_ += bytes.size();
}

void LogLine::append(std::string_view text) noexcept {
    if (!cut_) put(text.substr(0, room()));
}

void LogLine::append_escaped(std::string_view text, LogEscape escape) noexcept {
    while (!text.empty() && !cut_) {
        const std::size_t size = character_size(text);
        const std::string_view character = text.substr(0, std::max<std::size_t>(size, 1));
        const Escaped escaped(character, size != 0, escape);
        cut_ = escaped.bytes().size() > room();
        put(cut_ ? cut_mark : escaped.bytes());
        text.remove_prefix(character.size());
    }
}

void LogLine::finish(std::string_view tail) noexcept {
    DROVER_CHECK(tail.size() <= max_tail);
    put(tail);
}

}  // namespace drover
