#include "tests/support/held_connections.h"

#include "tests/support/deadline.h"
#include "tests/support/proc.h"
#include "tests/support/temporary_folder.h"

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <sstream>
#include <string>

#include <poll.h>

namespace drover::test {
namespace {

// The inodes of the sockets that it holds.
std::set<unsigned long> sockets_of(pid_t pid) {
    std::set<unsigned long> inodes;
    std::error_code ignored;
    for (const auto& entry :
         std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd", ignored)) {
        const std::string target = std::filesystem::read_symlink(entry.path(), ignored);
        if (target.starts_with("socket:[")) inodes.insert(std::stoul(target.substr(8)));
    }
    return inodes;
}

}  // namespace

std::set<std::uint16_t> clients_held_by(pid_t pid, std::uint16_t port) {
    const std::set<unsigned long> inodes = sockets_of(pid);
    std::set<std::uint16_t> clients;
    std::istringstream lines(read_file("/proc/net/tcp"));
    for (std::string line; std::getline(lines, line);) {
        unsigned local = 0;
        unsigned remote = 0;
        unsigned state = 0;
        unsigned long inode = 0;
        // proc(5): sl local_address rem_address st queues timer retransmits uid timeout inode
        const int found = std::sscanf(line.c_str(), " %*d: %*x:%x %*x:%x %x %*s %*s %*s %*d %*d %lu", &local,
                                      &remote, &state, &inode);
        if (found == 4 && local == port && remote != 0 && inodes.contains(inode))
            clients.insert(static_cast<std::uint16_t>(remote));
    }
    return clients;
}

bool freeze(pid_t pid) {
    const Deadline deadline;
    if (kill(pid, SIGSTOP) != 0) return false;
    while (!deadline.passed()) {
        const char state = state_of(pid);
        if (state == 'T') return true;
        if (state == '-' || state == 'Z') return false;
        poll(nullptr, 0, 1);
    }
    return false;
}

std::set<std::uint16_t> kill_frozen(pid_t pid, std::uint16_t port) {
    if (!freeze(pid)) return {};
    std::set<std::uint16_t> held = clients_held_by(pid, port);
    kill(pid, SIGKILL);
    return held;
}

}  // namespace drover::test
