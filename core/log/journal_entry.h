// JournalEntry is one line of the log as systemd's journal takes it: fields with names, in one datagram
// (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/). It allocates nothing; a value that is too long is cut, so
// that an entry always fits into a datagram. Runs in: every process, inside its Log.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace drover {

class JournalEntry {
  public:
    static constexpr std::size_t max_value = 8192;

    void begin() noexcept { size_ = 0; }
    // `name` of A-Z, 0-9 and _, not beginning with _. All fields together have at most max_value bytes more
    // than the longest.
    void append(std::string_view name, std::string_view value) noexcept;
    void append(std::string_view name, std::uint64_t value) noexcept;

    std::string_view bytes() const noexcept { return {buffer_.data(), size_}; }

  private:
    void put(std::string_view bytes) noexcept;

    std::array<char, 2 * max_value> buffer_{};
    std::size_t size_ = 0;
};

}  // namespace drover
