#include "core/log/log_line.h"

#include "core/base/check.h"

#include <cstring>

namespace drover {

namespace {

constexpr std::string_view cut_mark = "...";

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

void LogLine::append_escaped(std::string_view text, TextEscape escape) noexcept {
    while (!text.empty() && !cut_) {
        const VisibleCharacter character(text, escape);
        cut_ = character.bytes().size() > room();
        put(cut_ ? cut_mark : character.bytes());
        text.remove_prefix(character.length());
    }
}

void LogLine::finish(std::string_view tail) noexcept {
    DROVER_CHECK(tail.size() <= max_tail);
    put(tail);
}

}  // namespace drover
