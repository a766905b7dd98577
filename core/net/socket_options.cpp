#include "core/net/socket_options.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/socket.h>

namespace drover {

namespace {

enum class Undo {
    by_value,
    by_half,   // the kernel doubles what is set
    by_zero,   // and then by value: the kernel keeps the time of what is switched off
    by_reset,  // to the system's own, which may be another one since
};

struct Option {
    int level;
    int number;
    const char* name;
    Undo undo = Undo::by_value;
    int reset = 0;
};

// Not here: SO_RCVTIMEO and filters, for which Listener answers, and what can do no harm to others.
// TCP_MD5SIG and TCP_AO_ADD_KEY can be neither read nor, without their peer's address, undone.
constexpr std::array options{
    Option{SOL_SOCKET, SO_REUSEADDR, "SO_REUSEADDR"},
    Option{SOL_SOCKET, SO_REUSEPORT, "SO_REUSEPORT"},
    Option{SOL_SOCKET, SO_KEEPALIVE, "SO_KEEPALIVE"},
    Option{SOL_SOCKET, SO_LINGER, "SO_LINGER", Undo::by_zero},
    Option{SOL_SOCKET, SO_OOBINLINE, "SO_OOBINLINE"},
    Option{SOL_SOCKET, SO_DONTROUTE, "SO_DONTROUTE"},
    Option{SOL_SOCKET, SO_BROADCAST, "SO_BROADCAST"},
    Option{SOL_SOCKET, SO_RCVBUF, "SO_RCVBUF", Undo::by_half},
    Option{SOL_SOCKET, SO_SNDBUF, "SO_SNDBUF", Undo::by_half},
    Option{SOL_SOCKET, SO_BUF_LOCK, "SO_BUF_LOCK"},  // after the two, which set it
    Option{SOL_SOCKET, SO_RCVLOWAT, "SO_RCVLOWAT"},
    Option{SOL_SOCKET, SO_MAX_PACING_RATE, "SO_MAX_PACING_RATE"},
    Option{SOL_SOCKET, SO_PRIORITY, "SO_PRIORITY"},
    Option{SOL_SOCKET, SO_MARK, "SO_MARK"},
    Option{SOL_SOCKET, SO_INCOMING_CPU, "SO_INCOMING_CPU"},
    Option{SOL_SOCKET, SO_BINDTODEVICE, "SO_BINDTODEVICE"},
    Option{SOL_SOCKET, SO_TIMESTAMP, "SO_TIMESTAMP"},
    Option{SOL_SOCKET, SO_RXQ_OVFL, "SO_RXQ_OVFL"},
    Option{IPPROTO_IP, IP_TOS, "IP_TOS"},
    Option{IPPROTO_IP, IP_TTL, "IP_TTL", Undo::by_reset, -1},
    Option{IPPROTO_IP, IP_MINTTL, "IP_MINTTL"},
    Option{IPPROTO_IP, IP_MTU_DISCOVER, "IP_MTU_DISCOVER"},
    Option{IPPROTO_IP, IP_OPTIONS, "IP_OPTIONS"},
    Option{IPPROTO_IP, IP_PKTINFO, "IP_PKTINFO"},
    Option{IPPROTO_IP, IP_RECVERR, "IP_RECVERR"},
    Option{IPPROTO_IP, IP_RECVTTL, "IP_RECVTTL"},
    Option{IPPROTO_IP, IP_RECVTOS, "IP_RECVTOS"},
    Option{IPPROTO_IPV6, IPV6_TCLASS, "IPV6_TCLASS"},
    Option{IPPROTO_IPV6, IPV6_UNICAST_HOPS, "IPV6_UNICAST_HOPS", Undo::by_reset, -1},
    Option{IPPROTO_IPV6, IPV6_MINHOPCOUNT, "IPV6_MINHOPCOUNT"},
    Option{IPPROTO_IPV6, IPV6_MTU_DISCOVER, "IPV6_MTU_DISCOVER"},
    Option{IPPROTO_IPV6, IPV6_DONTFRAG, "IPV6_DONTFRAG"},
    Option{IPPROTO_IPV6, IPV6_RECVPKTINFO, "IPV6_RECVPKTINFO"},
    Option{IPPROTO_IPV6, IPV6_RECVERR, "IPV6_RECVERR"},
    Option{IPPROTO_IPV6, IPV6_RECVHOPLIMIT, "IPV6_RECVHOPLIMIT"},
    Option{IPPROTO_IPV6, IPV6_RECVTCLASS, "IPV6_RECVTCLASS"},
    Option{IPPROTO_TCP, TCP_NODELAY, "TCP_NODELAY"},
    Option{IPPROTO_TCP, TCP_CORK, "TCP_CORK"},
    Option{IPPROTO_TCP, TCP_DEFER_ACCEPT, "TCP_DEFER_ACCEPT"},
    Option{IPPROTO_TCP, TCP_KEEPIDLE, "TCP_KEEPIDLE"},
    Option{IPPROTO_TCP, TCP_KEEPINTVL, "TCP_KEEPINTVL"},
    Option{IPPROTO_TCP, TCP_KEEPCNT, "TCP_KEEPCNT"},
    Option{IPPROTO_TCP, TCP_MAXSEG, "TCP_MAXSEG", Undo::by_reset, 0},
    Option{IPPROTO_TCP, TCP_LINGER2, "TCP_LINGER2", Undo::by_reset, 0},
    Option{IPPROTO_TCP, TCP_USER_TIMEOUT, "TCP_USER_TIMEOUT"},
    Option{IPPROTO_TCP, TCP_WINDOW_CLAMP, "TCP_WINDOW_CLAMP"},
    Option{IPPROTO_TCP, TCP_NOTSENT_LOWAT, "TCP_NOTSENT_LOWAT"},
    Option{IPPROTO_TCP, TCP_CONGESTION, "TCP_CONGESTION"},
    Option{IPPROTO_TCP, TCP_SYNCNT, "TCP_SYNCNT"},
    Option{IPPROTO_TCP, TCP_TX_DELAY, "TCP_TX_DELAY"},
    Option{IPPROTO_UDP, UDP_CORK, "UDP_CORK"},
    Option{IPPROTO_UDP, UDP_ENCAP, "UDP_ENCAP"},
    Option{IPPROTO_UDP, UDP_NO_CHECK6_TX, "UDP_NO_CHECK6_TX"},
    Option{IPPROTO_UDP, UDP_NO_CHECK6_RX, "UDP_NO_CHECK6_RX"},
    Option{IPPROTO_UDP, UDP_SEGMENT, "UDP_SEGMENT"},
    Option{IPPROTO_UDP, UDP_GRO, "UDP_GRO"},
};

using Bytes = std::vector<std::byte>;

std::optional<Bytes> read_option(int socket, const Option& option) {
    std::array<std::byte, 64> room{};
    socklen_t size = room.size();
    if (::getsockopt(socket, option.level, option.number, room.data(), &size) != 0) return std::nullopt;
    return Bytes(room.begin(), room.begin() + size);
}

bool set_number(int socket, const Option& option, int number) noexcept {
    return ::setsockopt(socket, option.level, option.number, &number, sizeof number) == 0;
}

void undo(int socket, const Option& option, const Bytes& value) {
    if (option.undo == Undo::by_reset) {
        set_number(socket, option, option.reset);
    } else if (option.undo == Undo::by_half) {
        int number = 0;
        std::memcpy(&number, value.data(), std::min(sizeof number, value.size()));
        // Beyond the system's limits only the privileged may set it.
        const int force = option.number == SO_RCVBUF ? SO_RCVBUFFORCE : SO_SNDBUFFORCE;
        const bool forced = set_number(socket, {option.level, force, option.name}, number / 2);
        if (!forced) set_number(socket, option, number / 2);
    } else {
        const linger at_once{.l_onoff = 1, .l_linger = 0};
        if (option.undo == Undo::by_zero)
            ::setsockopt(socket, option.level, option.number, &at_once, sizeof at_once);
        ::setsockopt(socket, option.level, option.number, value.data(), static_cast<socklen_t>(value.size()));
    }
}

}  // namespace

SocketOptions::SocketOptions(int socket) {
    for (std::size_t i = 0; i < options.size(); ++i) {
        if (std::optional<Bytes> bytes = read_option(socket, options[i]))
            values_.push_back({i, std::move(*bytes)});
    }
}

SocketOptions::Changes SocketOptions::put_back(int socket) const {
    Changes changes;
    for (const Value& value : values_) {
        const Option& option = options[value.option];
        const std::optional<Bytes> before = read_option(socket, option);
        const bool resets = option.undo == Undo::by_reset;
        if (!resets && before == value.bytes) continue;
        undo(socket, option, value.bytes);
        const std::optional<Bytes> after = read_option(socket, option);
        if (resets && after == before) continue;
        changes.found += (changes.found.empty() ? "" : ", ") + std::string(option.name);
        changes.undone = changes.undone && (resets || after == value.bytes);
    }
    return changes;
}

}  // namespace drover
