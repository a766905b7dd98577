#include "core/log/journal_entry.h"

#include "core/base/check.h"

#include <charconv>
#include <cstring>

namespace drover {

namespace {

// Never inside of a character of UTF-8.
std::string_view cut(std::string_view value) noexcept {
    if (value.size() <= JournalEntry::max_value) return value;
    constexpr std::size_t most_following = 3;  // bytes of a character after its first
    std::size_t size = JournalEntry::max_value;
    for (std::size_t i = 0; i < most_following && (static_cast<unsigned char>(value[size]) & 0xc0U) == 0x80U;
         ++i)
        --size;
    return value.substr(0, size);
}

}  // namespace

void JournalEntry::put(std::string_view bytes) noexcept {
    DROVER_CHECK(bytes.size() <= buffer_.size() - size_);
    std::memcpy(buffer_.data() + size_, bytes.data(), bytes.size());
    size_ += bytes.size();
}

// A value with a newline in it follows its length, 64 bits in little endian, in a line of its own.
void JournalEntry::append(std::string_view name, std::string_view value) noexcept {
    value = cut(value);
    put(name);
    if (value.find('\n') == value.npos) {
        put("=");
    } else {
        char length[9] = {'\n'};
        for (unsigned byte = 0; byte < 8; ++byte)
            length[1 + byte] = static_cast<char>(static_cast<std::uint64_t>(value.size()) >> (8 * byte));
        put({length, sizeof length});
    }
    put(value);
    put("\n");
}

void JournalEntry::append(std::string_view name, std::uint64_t value) noexcept {
    char digits[20];
    const char* const end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    append(name, std::string_view(digits, static_cast<std::size_t>(end - digits)));
}

}  // namespace drover
