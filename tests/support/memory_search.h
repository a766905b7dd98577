// SearchedText looks for a text in a process's memory. It holds the text with every byte changed, so that a
// copy that a fork or the search itself makes is not found. Runs in: tests.
#pragma once

#include "core/base/unique_fd.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

namespace drover::test {

class SearchedText {
  public:
    explicit SearchedText(std::string_view salt) : changed_(salt) {
        changed_ += std::to_string(::getpid());
        for (char& byte : changed_)
            byte = change(byte);
    }

    // Copies that the caller has to forget are his own.
    std::string text() const {
        std::string plain = changed_;
        for (char& byte : plain)
            byte = change(byte);
        return plain;
    }

    // setenv(3) would leave a copy on the stack.
    void put_into_environment(const std::string& name) const {
        std::string plain = text();
        auto* const entry = static_cast<char*>(std::calloc(1, name.size() + 1 + plain.size() + 1));
        name.copy(entry, name.size());
        entry[name.size()] = '=';
        plain.copy(entry + name.size() + 1, plain.size());
        ::putenv(entry);
        ::explicit_bzero(plain.data(), plain.size());
    }

    // Whether it stands in memory that the process can write to.
    bool is_in(pid_t pid) const {
        const std::string folder = "/proc/" + std::to_string(pid);
        const UniqueFd memory(::open((folder + "/mem").c_str(), O_RDONLY | O_CLOEXEC));
        std::ifstream maps(folder + "/maps");
        for (std::string line; std::getline(maps, line);) {
            char* rest = nullptr;
            const std::uintptr_t begin = std::strtoull(line.c_str(), &rest, 16);
            const std::uintptr_t end = std::strtoull(rest + 1, &rest, 16);
            if (std::string_view(rest).starts_with(" rw") && is_between(memory.get(), begin, end))
                return true;
        }
        return false;
    }

  private:
    static char change(char byte) noexcept { return static_cast<char>(byte ^ 0x55); }

    // What is read is changed at once: the buffer itself is memory of whoever searches.
    bool is_between(int memory, std::uintptr_t begin, std::uintptr_t end) const {
        std::vector<char> bytes(std::size_t{1} << 16);
        const std::uintptr_t step = bytes.size() - changed_.size();
        bool found = false;
        for (std::uintptr_t at = begin; at < end && !found; at += step) {
            const std::size_t size = std::min<std::uintptr_t>(bytes.size(), end - at);
            const ssize_t got = ::pread(memory, bytes.data(), size, static_cast<off_t>(at));
            if (got <= 0) continue;
            const auto last = bytes.begin() + got;
            std::for_each(bytes.begin(), last, [](char& byte) { byte = change(byte); });
            found = std::search(bytes.begin(), last, changed_.begin(), changed_.end()) != last;
        }
        ::explicit_bzero(bytes.data(), bytes.size());
        return found;
    }

    std::string changed_;
};

}  // namespace drover::test
