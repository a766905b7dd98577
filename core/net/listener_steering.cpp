// Where the kernel sends new connections: programs on a reuseport group and on listening sockets (socket(7),
// bpf of linux/filter.h).
#include "core/base/system_error.h"
#include "core/net/listener.h"
#include "core/net/port_owners.h"

#include <algorithm>
#include <cerrno>
#include <string>

#include <linux/filter.h>

namespace drover {

namespace {

constexpr sock_filter statement(unsigned code, std::uint32_t k) {
    return {static_cast<std::uint16_t>(code), 0, 0, k};
}

// Picks one of `slots`, which are sorted, at random: the program's result is the index of a socket in the
// group. A random number below their count becomes an index by stepping over each gap that lies before it, so
// that the program is as long as there are gaps: kernels before 6.7 refuse more than 20480 bytes of it.
std::vector<sock_filter> steering_program(std::span<const unsigned> slots) {
    std::vector<sock_filter> program{
        statement(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_RANDOM)),
        statement(BPF_ALU | BPF_MOD | BPF_K, static_cast<std::uint32_t>(slots.size())),
        statement(BPF_ALU | BPF_ADD | BPF_K, slots.front())};
    for (std::size_t i = 1; i < slots.size(); ++i) {
        const unsigned gap = slots[i] - slots[i - 1] - 1;
        if (gap == 0) continue;
        program.push_back({static_cast<std::uint16_t>(BPF_JMP | BPF_JGT | BPF_K), 0, 1, slots[i - 1]});
        program.push_back(statement(BPF_ALU | BPF_ADD | BPF_K, gap));
    }
    program.push_back(statement(BPF_RET | BPF_A, 0));
    return program;
}

// Sees the TCP header first: drops a segment that has SYN and not ACK, passes everything else.
constexpr sock_filter drop_syn[] = {
    statement(BPF_LD | BPF_B | BPF_ABS, 13),     // the flags
    statement(BPF_ALU | BPF_AND | BPF_K, 0x12),  // SYN and ACK
    {static_cast<std::uint16_t>(BPF_JMP | BPF_JEQ | BPF_K), 0, 1, 0x02},
    statement(BPF_RET | BPF_K, 0),
    statement(BPF_RET | BPF_K, 0xffffffff),
};

Address loopback_at(const Address& wildcard) {
    const char* const host = wildcard.family() == AF_INET6 ? "[::1]:" : "127.0.0.1:";
    return Address::parse(host + std::to_string(wildcard.port()));
}

void attach(int fd, int option, std::span<const sock_filter> filters, const char* name) {
    const sock_fprog program{static_cast<unsigned short>(filters.size()),
                             const_cast<sock_filter*>(filters.data())};
    check_call(::setsockopt(fd, SOL_SOCKET, option, &program, sizeof program), "setsockopt", name);
}

}  // namespace

void Listener::steer(std::span<const unsigned> slots) {
    if (shared()) return;
    std::vector<unsigned> indexes;
    for (unsigned index = 0; index < order_.size(); ++index)
        if (std::ranges::find(slots, order_[index]) != slots.end()) indexes.push_back(index);
    if (indexes.empty() || indexes.size() == listening_) {
        const int unused = 0;
        const int result =
            ::setsockopt(sockets_[0].get(), SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &unused, sizeof unused);
        if (result != 0 && errno != ENOENT) throw_errno("setsockopt", "SO_DETACH_REUSEPORT_BPF");
    } else {
        attach(sockets_[0].get(), SO_ATTACH_REUSEPORT_CBPF, steering_program(indexes),
               "SO_ATTACH_REUSEPORT_CBPF");
    }
}

void Listener::refuse_new() {
    if (address_.is_unix() || address_.is_udp() || state_ != State::here) return;
    state_ = State::refuses_new;
    try {
        for (const Socket& socket : sockets_)
            attach(socket.get(), SO_ATTACH_FILTER, drop_syn, "SO_ATTACH_FILTER");
    } catch (const std::system_error& failure) {
        if (failure.code() != std::errc::operation_not_permitted) throw;
        turn_away();
    }
}

// A listening socket that is bound to an interface gets what comes by it alone, and handshakes that are under
// way end as they began. A datagram socket with a peer gets what that peer sends, and this one is the socket
// itself; its answers name their receivers.
void Listener::turn_away() noexcept {
    if (absent()) return;
    state_ = State::turned_away;
    if (address_.is_unix()) return remove_path();
    if (address_.is_udp() && !has_siblings_) return;
    const Address self = address_.is_wildcard() ? loopback_at(address_) : address_;
    for (const Socket& socket : sockets_) {
        const int on = 1;
        ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
        if (address_.is_udp())
            static_cast<void>(::connect(socket.get(), self.data(), self.size()));
        else
            ::setsockopt(socket.get(), SOL_SOCKET, SO_BINDTOIFINDEX, &no_interface, sizeof no_interface);
    }
}

void Listener::drop_idle_sockets(unsigned slots) {
    const std::size_t keep = std::max(slots, listening_);
    while (!shared() && sockets_.size() > std::max<std::size_t>(keep, 1))
        sockets_.pop_back();
}

}  // namespace drover
