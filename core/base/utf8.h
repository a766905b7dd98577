// What is UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF). Runs in: every process.
#pragma once

#include <cstddef>
#include <string_view>

namespace drover {

// The number of bytes of the character that `text` begins with; 0 when it begins with none.
inline std::size_t utf8_length(std::string_view text) noexcept {
    const auto byte = [&](std::size_t index) { return static_cast<unsigned char>(text[index]); };
    if (text.empty()) return 0;
    if (byte(0) < 0x80) return 1;
    const std::size_t length = byte(0) >= 0xf0 ? 4 : byte(0) >= 0xe0 ? 3 : 2;
    if (byte(0) < 0xc2 || byte(0) > 0xf4 || text.size() < length) return 0;
    // Bounds of the second byte.
    unsigned low = 0x80;
    unsigned high = 0xbf;
    if (byte(0) == 0xe0) low = 0xa0;
    if (byte(0) == 0xed) high = 0x9f;
    if (byte(0) == 0xf0) low = 0x90;
    if (byte(0) == 0xf4) high = 0x8f;
    if (byte(1) < low || byte(1) > high) return 0;
    for (std::size_t index = 2; index < length; ++index)
        if ((byte(index) & 0xc0) != 0x80) return 0;
    return length;
}

// How many bytes at the beginning of `text` are UTF-8: its size when all of them are.
inline std::size_t utf8_prefix(std::string_view text) noexcept {
    std::size_t size = 0;
    while (size < text.size()) {
        const std::size_t length = utf8_length(text.substr(size));
        if (length == 0) break;
        size += length;
    }
    return size;
}

}  // namespace drover
