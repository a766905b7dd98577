// JournalSocket stands in for systemd's journal: a datagram socket with a name, whose entries are read back
// as fields. Written after the protocol's description, not with the code under test. Runs in: tests.
#pragma once

#include "core/base/system_error.h"
#include "core/base/unique_fd.h"

#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include <sys/socket.h>
#include <sys/un.h>

namespace drover::test {

using JournalFields = std::map<std::string, std::string>;

inline JournalFields parse_journal_entry(std::string entry) {
    JournalFields fields;
    while (!entry.empty()) {
        const std::size_t end = entry.find('\n');
        if (end == entry.npos) throw std::runtime_error("a field without an end");
        const std::string line = entry.substr(0, end);
        const std::size_t equals = line.find('=');
        std::size_t used = end + 1;
        if (equals != line.npos) {
            fields[line.substr(0, equals)] = line.substr(equals + 1);
        } else {
            std::uint64_t size = 0;
            if (entry.size() < used + sizeof size) throw std::runtime_error("a field without its length");
            std::memcpy(&size, entry.data() + used, sizeof size);  // little endian, as this machine
            used += sizeof size;
            if (entry.size() <= used + size || entry[used + size] != '\n')
                throw std::runtime_error("a field that is shorter than it says");
            fields[line] = entry.substr(used, size);
            used += size + 1;
        }
        entry.erase(0, used);
    }
    return fields;
}

class JournalSocket {
  public:
    explicit JournalSocket(const std::string& path)
        : socket_(check_call(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket")) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path.data(), path.size());
        const auto* name = reinterpret_cast<const sockaddr*>(&address);
        check_call(::bind(socket_.get(), name, sizeof address), "bind", path);
    }

    // What has arrived since the last call.
    std::vector<JournalFields> take() {
        std::vector<JournalFields> entries;
        std::string buffer(256 * 1024, '\0');
        for (;;) {
            const ssize_t size = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
            if (size < 0) return entries;
            entries.push_back(parse_journal_entry(buffer.substr(0, static_cast<std::size_t>(size))));
        }
    }

  private:
    UniqueFd socket_;
};

}  // namespace drover::test
