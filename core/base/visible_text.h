// Text from elsewhere (configuration files, modules, other programs) as it may be shown: a terminal obeys
// control characters, and what is shown to people and scripts as a line must be one. Runs in: every process.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace drover {

enum class TextEscape { text, json };

// The character, or the byte that is not UTF-8, that a text begins with, as it is shown: control characters
// (C0, DEL and U+0080 to U+009F, which terminals obey as well) as \n, \x1b, \u009b, a wrong byte as \xff; for
// JSON as RFC 8259 wants them, a wrong byte as U+FFFD.
class VisibleCharacter {
  public:
    // `text` is not empty.
    VisibleCharacter(std::string_view text, TextEscape escape) noexcept;
    std::string_view bytes() const noexcept { return {bytes_, size_}; }
    std::size_t length() const noexcept { return length_; }  // of what it stands for

  private:
    void set(std::string_view bytes) noexcept;
    void set_ascii(char letter, TextEscape escape) noexcept;
    void set_hex(std::string_view prefix, unsigned char byte) noexcept;

    char bytes_[6];
    std::size_t size_ = 0;
    std::size_t length_;
};

// One line.
std::string visible_text(std::string_view text);
// The same, but newlines and tabs stay.
std::string visible_lines(std::string_view text);

}  // namespace drover
