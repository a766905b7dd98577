#include "core/base/visible_text.h"

#include "core/base/utf8.h"

namespace drover {

namespace {

std::string visible(std::string_view text, std::string_view kept) {
    std::string shown;
    shown.reserve(text.size());
    while (!text.empty()) {
        const VisibleCharacter character(text, TextEscape::text);
        if (kept.find(text.front()) != kept.npos) {
            shown += text.front();
        } else {
            shown += character.bytes();
        }
        text.remove_prefix(character.length());
    }
    return shown;
}

}  // namespace

VisibleCharacter::VisibleCharacter(std::string_view text, TextEscape escape) noexcept
    : length_(utf8_length(text)) {
    const auto byte = [text](std::size_t index) { return static_cast<unsigned char>(text[index]); };
    if (length_ == 0) {
        length_ = 1;
        escape == TextEscape::json ? set("\xef\xbf\xbd") : set_hex("\\x", byte(0));
    } else if (length_ == 2 && byte(0) == 0xc2 && byte(1) < 0xa0) {
        set_hex("\\u00", byte(1));
    } else if (length_ > 1) {
        set(text.substr(0, length_));
    } else {
        set_ascii(text.front(), escape);
    }
}

void VisibleCharacter::set_ascii(char letter, TextEscape escape) noexcept {
    const bool json = escape == TextEscape::json;
    const auto code = static_cast<unsigned char>(letter);
    if (letter == '\n') return set("\\n");
    if (letter == '\r') return set("\\r");
    if (letter == '\t') return set("\\t");
    if (code < 0x20 || code == 0x7f) return set_hex(json ? "\\u00" : "\\x", code);
    if (json && letter == '"') return set("\\\"");
    if (json && letter == '\\') return set("\\\\");
    set({&letter, 1});
}

void VisibleCharacter::set(std::string_view bytes) noexcept {
    size_ = bytes.copy(bytes_, sizeof bytes_);
}

void VisibleCharacter::set_hex(std::string_view prefix, unsigned char byte) noexcept {
    constexpr std::string_view digits = "0123456789abcdef";
    size_ = prefix.copy(bytes_, sizeof bytes_ - 2);
    bytes_[size_++] = digits[byte >> 4U];
    bytes_[size_++] = digits[byte & 0xfU];
}

std::string visible_text(std::string_view text) {
    return visible(text, "");
}

std::string visible_lines(std::string_view text) {
    return visible(text, "\n\t");
}

}  // namespace drover
