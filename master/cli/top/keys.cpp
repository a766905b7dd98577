#include "master/cli/top/keys.h"

#include <cstddef>
#include <string_view>

namespace drover::top {

namespace {

constexpr char escape = '\x1b';

// Of a control sequence (ECMA-48): ESC [ parameters, then one byte from '@' to '~'; or ESC O and one byte.
std::size_t sequence_length(std::string_view typed) noexcept {
    if (typed.size() < 2 || (typed[1] != '[' && typed[1] != 'O')) return 1;
    std::size_t end = 2;
    while (end < typed.size() && (typed[end] < '@' || typed[end] > '~'))
        ++end;
    return end < typed.size() ? end + 1 : end;
}

Key key_of_sequence(std::string_view sequence) noexcept {
    if (sequence.size() == 1) return Key::back;
    const std::string_view rest = sequence.substr(2);
    if (rest == "A") return Key::up;
    if (rest == "B") return Key::down;
    if (rest == "5~") return Key::page_up;
    if (rest == "6~") return Key::page_down;
    return Key::other;
}

Key key_of(char byte) noexcept {
    switch (byte) {
        case 'q':
        case 'Q':
            return Key::quit;
        case 'p':
        case ' ':
            return Key::pause;
        case 's':
            return Key::sort;
        case 'r':
            return Key::reverse;
        case 'k':
            return Key::up;
        case 'j':
            return Key::down;
        case '\r':
        case '\n':
            return Key::enter;
        case '\x7f':
        case '\b':
            return Key::back;
        default:
            return Key::other;
    }
}

}  // namespace

std::optional<Key> take_key(std::string& typed) {
    if (typed.empty()) return std::nullopt;
    const std::size_t length = typed.front() == escape ? sequence_length(typed) : 1;
    const Key key = typed.front() == escape ? key_of_sequence({typed.data(), length}) : key_of(typed.front());
    typed.erase(0, length);
    return key;
}

}  // namespace drover::top
