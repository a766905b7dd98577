#include "core/net/port_owners.h"

#include "core/base/unique_fd.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace drover {

namespace {

struct Question {
    nlmsghdr header;
    inet_diag_req_v2 request;
};

Question question_about(const Address& address, int family) noexcept {
    Question question{};
    question.header.nlmsg_len = sizeof question;
    question.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    question.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    question.request.sdiag_family = static_cast<std::uint8_t>(family);
    question.request.sdiag_protocol = address.is_udp() ? IPPROTO_UDP : IPPROTO_TCP;
    question.request.idiag_states = 1U << (address.is_udp() ? TCP_CLOSE : TCP_LISTEN);
    question.request.id.idiag_sport = htons(address.port());
    return question;
}

using KernelBytes = std::span<const std::byte>;

template <class Value>
bool read_at(KernelBytes bytes, std::size_t offset, Value& value) noexcept {
    if (bytes.size() < offset || bytes.size() - offset < sizeof value) return false;
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return true;
}

bool ipv6_only_in(KernelBytes message) noexcept {
    std::size_t at = NLMSG_LENGTH(sizeof(inet_diag_msg));
    for (rtattr attribute{}; read_at(message, at, attribute) && attribute.rta_len >= sizeof attribute;
         at += RTA_ALIGN(attribute.rta_len)) {
        std::uint8_t only = 0;
        if (attribute.rta_type == INET_DIAG_SKV6ONLY && read_at(message, at + sizeof attribute, only))
            return only != 0;
    }
    return false;
}

Address address_in(const inet_diag_msg& socket, bool udp) noexcept {
    Address address;
    if (socket.idiag_family == AF_INET) {
        sockaddr_in place{};
        place.sin_family = AF_INET;
        place.sin_port = socket.id.idiag_sport;
        std::memcpy(&place.sin_addr, socket.id.idiag_src, sizeof place.sin_addr);
        address = Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&place), sizeof place);
    } else {
        sockaddr_in6 place{};
        place.sin6_family = AF_INET6;
        place.sin6_port = socket.id.idiag_sport;
        std::memcpy(&place.sin6_addr, socket.id.idiag_src, sizeof place.sin6_addr);
        // Such an address is another one on each interface, and its socket is bound to one (ipv6(7)).
        if (IN6_IS_ADDR_LINKLOCAL(&place.sin6_addr)) place.sin6_scope_id = socket.id.idiag_if;
        address = Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&place), sizeof place);
    }
    return udp ? address.as_datagrams() : address;
}

struct Search {
    const Address& address;
    bool ipv6_only;
    std::span<const ino_t> ours;

    bool is_stranger(KernelBytes message) const noexcept {
        inet_diag_msg socket{};
        if (!read_at(message, NLMSG_LENGTH(0), socket)) return false;
        if (socket.id.idiag_if == static_cast<std::uint32_t>(no_interface)) return false;
        const auto is_it = [&](ino_t inode) {
            return static_cast<std::uint32_t>(inode) == socket.idiag_inode;
        };
        if (std::ranges::any_of(ours, is_it)) return false;
        return share_port(address, ipv6_only, address_in(socket, address.is_udp()), ipv6_only_in(message));
    }
};

// One part of the kernel's answer.
struct Part {
    Strangers found = Strangers::none;
    bool last = false;
};

Part read_part(KernelBytes bytes, const Search& search) noexcept {
    for (nlmsghdr header{}; read_at(bytes, 0, header) && header.nlmsg_len >= sizeof header;
         bytes = bytes.subspan(std::min<std::size_t>(bytes.size(), NLMSG_ALIGN(header.nlmsg_len)))) {
        if (header.nlmsg_type == NLMSG_DONE) return {.last = true};
        if (header.nlmsg_type == NLMSG_ERROR) return {Strangers::unknown, true};
        const KernelBytes message = bytes.first(std::min<std::size_t>(bytes.size(), header.nlmsg_len));
        if (search.is_stranger(message)) return {Strangers::some, true};
    }
    return {};
}

Strangers strangers_of(int family, const Search& search) noexcept {
    const UniqueFd kernel(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
    const Question question = question_about(search.address, family);
    if (::send(kernel.get(), &question, sizeof question, 0) != sizeof question) return Strangers::unknown;
    std::array<std::byte, 32 * 1024> buffer;
    while (true) {
        // Each part is there when the one before it has been read.
        const ssize_t size = ::recv(kernel.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (size <= 0) return Strangers::unknown;
        const Part part = read_part(std::span(buffer).first(static_cast<std::size_t>(size)), search);
        if (part.last) return part.found;
    }
}

bool takes_ipv4(const Address& address, bool ipv6_only) noexcept {
    return address.family() == AF_INET || (address.is_wildcard() && !ipv6_only);
}

}  // namespace

bool share_port(const Address& left, bool left_ipv6_only, const Address& right,
                bool right_ipv6_only) noexcept {
    if (left.is_unix() || right.is_unix() || left.is_udp() != right.is_udp() || left.port() != right.port())
        return false;
    if (left.family() == right.family()) return left.is_wildcard() || right.is_wildcard() || left == right;
    return takes_ipv4(left, left_ipv6_only) && takes_ipv4(right, right_ipv6_only);
}

Strangers strangers_at(const Address& address, bool ipv6_only, std::span<const ino_t> ours) noexcept {
    const Search search{address, ipv6_only, ours};
    const Strangers ipv4 = strangers_of(AF_INET, search);
    return ipv4 == Strangers::none ? strangers_of(AF_INET6, search) : ipv4;
}

}  // namespace drover
