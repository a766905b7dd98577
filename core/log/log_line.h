// LogLine is one line of a log, put together in a fixed buffer: it allocates nothing, escapes what would
// break the line or the terminal it is read on, and is cut where it would grow too long. Runs in: every
// process, inside its Log.
#pragma once

#include "core/base/visible_text.h"

#include <array>
#include <cstddef>
#include <string_view>

namespace drover {

class LogLine {
  public:
    static constexpr std::size_t max_size = 8192;  // with its newline
    static constexpr std::size_t min_limit = 1024;

    // Starts over. `limit` is min_limit to max_size.
    void begin(std::size_t limit) noexcept;

    // As it is; what does not fit is left out. For the parts that the program writes itself.
    void append(std::string_view text) noexcept;

    // As VisibleCharacter shows it. A text that does not fit ends in "...", never inside of
    // a character.
    void append_escaped(std::string_view text, TextEscape escape) noexcept;

    // The last part, at most max_tail bytes: always fits.
    void finish(std::string_view tail) noexcept;

    std::string_view line() const noexcept { return {buffer_.data() + 1, size_}; }
    // The same after a newline, to leave a torn line behind.
    std::string_view line_on_a_fresh_line() const noexcept { return {buffer_.data(), size_ + 1}; }

  private:
    static constexpr std::size_t max_tail = 3;

    std::size_t room() const noexcept;
    void put(std::string_view bytes) noexcept;

    std::array<char, 1 + max_size> buffer_{};
    std::size_t size_ = 0;
    std::size_t limit_ = max_size;
    bool cut_ = false;
};

}  // namespace drover
