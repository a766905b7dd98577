#include "core/net/address.h"

#include "core/base/system_error.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <net/if.h>
#include <netinet/in.h>

namespace drover {

namespace {

constexpr std::size_t path_offset = offsetof(sockaddr_un, sun_path);
// The last byte of sun_path is the NUL of a path, the first one that of an abstract name.
constexpr std::size_t max_unix_name = sizeof(sockaddr_un::sun_path) - 1;

[[noreturn]] void refuse(std::string_view text, std::string_view reason) {
    throw std::invalid_argument(fmt::format("\"{}\": {}", text, reason));
}

std::uint16_t parse_port(std::string_view text, std::string_view port) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), value);
    const bool is_number = error == std::errc{} && end == port.data() + port.size();
    if (!is_number || value > 65535) refuse(text, "port must be 0 to 65535");
    if (port.size() > 1 && port.front() == '0') refuse(text, "port must not start with 0");
    return static_cast<std::uint16_t>(value);
}

std::uint32_t parse_zone(std::string_view text, const std::string& zone) {
    std::uint32_t index = if_nametoindex(zone.c_str());
    if (index != 0) return index;
    const auto [end, error] = std::from_chars(zone.data(), zone.data() + zone.size(), index);
    const bool is_number = error == std::errc{} && end == zone.data() + zone.size();
    if (!is_number || index == 0) refuse(text, fmt::format("there is no network interface \"{}\"", zone));
    return index;
}

sockaddr_in parse_ipv4(std::string_view text, std::string_view host, std::uint16_t port) {
    sockaddr_in result{};
    result.sin_family = AF_INET;
    result.sin_port = htons(port);
    if (host != "*" && inet_pton(AF_INET, std::string(host).c_str(), &result.sin_addr) != 1) {
        refuse(text,
               "host names are not looked up: write an address as in \"127.0.0.1:8080\", \"[::1]:8080\" or "
               "\"*:8080\"");
    }
    return result;
}

sockaddr_in6 parse_ipv6(std::string_view text, std::string_view host, std::uint16_t port) {
    sockaddr_in6 result{};
    result.sin6_family = AF_INET6;
    result.sin6_port = htons(port);
    const std::size_t percent = host.find('%');
    if (inet_pton(AF_INET6, std::string(host.substr(0, percent)).c_str(), &result.sin6_addr) != 1) {
        refuse(text, "what stands in brackets is not an IPv6 address");
    }
    const bool link_local = IN6_IS_ADDR_LINKLOCAL(&result.sin6_addr);
    if (link_local && percent == host.npos) {
        refuse(text, "a link-local address needs its interface, as in \"[fe80::1%eth0]:80\"");
    }
    if (!link_local && percent != host.npos) refuse(text, "only a link-local address has an interface");
    if (link_local) result.sin6_scope_id = parse_zone(text, std::string(host.substr(percent + 1)));
    return result;
}

// Fills in `result` and gives its length.
socklen_t parse_unix(std::string_view text, std::string_view name, std::string_view base,
                     sockaddr_un& result) {
    result.sun_family = AF_UNIX;
    const bool abstract = name.starts_with('@');
    std::string bytes(name.substr(abstract ? 1 : 0));
    if (bytes.empty()) refuse(text, abstract ? "the abstract name is missing" : "the path is missing");
    if (!abstract && bytes.front() != '/' && !base.empty()) {
        bytes.insert(0, base.ends_with('/') ? "" : "/").insert(0, base);
    }
    if (!abstract)
        bytes = std::filesystem::path(bytes).lexically_normal().string();  // one path has one spelling
    if (bytes.size() > max_unix_name) {
        refuse(text, fmt::format("the {} has {} bytes, at most {} are possible",
                                 abstract ? "abstract name" : "path", bytes.size(), max_unix_name));
    }
    std::memcpy(result.sun_path + (abstract ? 1 : 0), bytes.data(), bytes.size());
    return static_cast<socklen_t>(path_offset + bytes.size() + 1);
}

// The name of a unix socket as the kernel holds it: empty, a path without its NUL, or a NUL and an abstract
// name.
std::string_view unix_name(const Address& address) noexcept {
    if (!address.is_unix() || address.size() <= path_offset) return {};
    const std::string_view name(reinterpret_cast<const char*>(address.data()) + path_offset,
                                address.size() - path_offset);
    return name.front() == '\0' ? name : name.substr(0, name.find('\0'));
}

const sockaddr_in& as_ipv4(const Address& address) noexcept {
    return *reinterpret_cast<const sockaddr_in*>(address.data());
}

const sockaddr_in6& as_ipv6(const Address& address) noexcept {
    return *reinterpret_cast<const sockaddr_in6*>(address.data());
}

std::string unix_text(const Address& address) {
    std::string name(unix_name(address));
    const std::string kind = address.takes_datagrams() ? "unixgram:" : "unix:";
    if (name.starts_with('@')) return kind + "./" + name;
    std::replace(name.begin(), name.end(), '\0', '@');
    return kind + name;
}

std::string ipv6_text(const sockaddr_in6& address) {
    char host[INET6_ADDRSTRLEN];
    inet_ntop(AF_INET6, &address.sin6_addr, host, sizeof host);
    if (address.sin6_scope_id == 0) return host;
    char name[IF_NAMESIZE];
    const bool known = if_indextoname(address.sin6_scope_id, name) != nullptr;
    return known ? fmt::format("{}%{}", host, name) : fmt::format("{}%{}", host, address.sin6_scope_id);
}

// `place` is the address in `text`: ADDRESS:PORT.
Address parse_ip(std::string_view text, std::string_view place) {
    if (place.starts_with("tcp:") || place.find("://") != place.npos)
        refuse(text, "an address has nothing before it, as in \"127.0.0.1:8080\"");
    if (place.starts_with('/')) refuse(text, fmt::format("write \"unix:{}\" for a unix socket", place));
    const std::size_t colon = place.rfind(':');
    const bool bracketed = place.starts_with('[');
    const bool is_port = !place.empty() && place.find_first_not_of("0123456789") == place.npos;
    if (is_port) refuse(text, fmt::format("the address is missing; write \"*:{}\" for every one", place));
    if (colon == 0) refuse(text, fmt::format("the address is missing; write \"*{}\" for every one", place));
    if (colon == place.npos || (bracketed && place.ends_with(']'))) {
        refuse(text, "the port is missing, write \"ADDRESS:PORT\", \"udp:ADDRESS:PORT\" or \"unix:PATH\"");
    }
    const std::string_view host = place.substr(0, colon);
    if (bracketed != host.ends_with(']') || (!bracketed && host.find(':') != host.npos)) {
        refuse(text, "an IPv6 address stands in brackets, as in \"[::1]:8080\"");
    }
    const std::uint16_t port = parse_port(text, place.substr(colon + 1));
    if (bracketed) {
        const sockaddr_in6 result = parse_ipv6(text, host.substr(1, host.size() - 2), port);
        return Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&result), sizeof result);
    }
    const sockaddr_in result = parse_ipv4(text, host, port);
    return Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&result), sizeof result);
}

template <class Call>
Address ask_kernel(Call call, const char* name, int fd) {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    auto* address = reinterpret_cast<sockaddr*>(&storage);
    check_call(call(fd, address, &size), name);
    return Address::from_sockaddr(address, size);
}

}  // namespace

Address Address::parse(std::string_view text, std::string_view base_directory) {
    constexpr std::string_view unix_prefix = "unix:";
    constexpr std::string_view unix_datagrams_prefix = "unixgram:";
    constexpr std::string_view udp_prefix = "udp:";
    const std::size_t zero = text.find('\0');
    if (zero != text.npos) refuse(text.substr(0, zero), "a zero byte follows, which no address has");
    const bool unix_datagrams = text.starts_with(unix_datagrams_prefix);
    if (unix_datagrams || text.starts_with(unix_prefix)) {
        sockaddr_un result{};
        const std::string_view name = text.substr(text.find(':') + 1);
        const socklen_t size = parse_unix(text, name, base_directory, result);
        const Address address = from_sockaddr(reinterpret_cast<const sockaddr*>(&result), size);
        return unix_datagrams ? address.as_datagrams() : address;
    }
    if (!text.starts_with(udp_prefix)) return parse_ip(text, text);
    const std::string_view place = text.substr(udp_prefix.size());
    if (place.starts_with(unix_prefix))
        refuse(text, "datagrams over a unix socket are written \"unixgram:PATH\"");
    return parse_ip(text, place).as_datagrams();
}

Address Address::from_sockaddr(const sockaddr* address, socklen_t size) noexcept {
    Address result;
    if (address == nullptr || size < sizeof(sa_family_t) || size > sizeof result.storage_) return result;
    const sa_family_t family = address->sa_family;
    if (family == AF_INET && size < sizeof(sockaddr_in)) return result;
    if (family == AF_INET6 && size < sizeof(sockaddr_in6)) return result;
    std::memcpy(&result.storage_, address, size);
    result.size_ = size;
    return result;
}

Address Address::local_of(int fd) {
    return ask_kernel(::getsockname, "getsockname", fd);
}

Address Address::peer_of(int fd) {
    return ask_kernel(::getpeername, "getpeername", fd);
}

Address Address::as_datagrams() const noexcept {
    Address result = *this;
    result.datagrams_ = true;
    return result;
}

Address Address::unmapped() const noexcept {
    if (family() != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&as_ipv6(*this).sin6_addr)) return *this;
    sockaddr_in plain{};
    plain.sin_family = AF_INET;
    plain.sin_port = as_ipv6(*this).sin6_port;
    std::memcpy(&plain.sin_addr, as_ipv6(*this).sin6_addr.s6_addr + 12, sizeof plain.sin_addr);
    Address result = from_sockaddr(reinterpret_cast<const sockaddr*>(&plain), sizeof plain);
    result.datagrams_ = datagrams_;
    return result;
}

bool Address::is_wildcard() const noexcept {
    if (family() == AF_INET) return as_ipv4(*this).sin_addr.s_addr == htonl(INADDR_ANY);
    return family() == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&as_ipv6(*this).sin6_addr);
}

bool Address::is_unix_path() const noexcept {
    const std::string_view name = unix_name(*this);
    return !name.empty() && name.front() != '\0';
}

std::string Address::unix_path() const {
    return is_unix_path() ? std::string(unix_name(*this)) : std::string();
}

std::uint16_t Address::port() const noexcept {
    if (family() == AF_INET) return ntohs(as_ipv4(*this).sin_port);
    if (family() == AF_INET6) return ntohs(as_ipv6(*this).sin6_port);
    return 0;
}

std::string Address::host_text() const {
    if (is_unix()) return unix_text(*this);
    if (family() == AF_INET6) return ipv6_text(as_ipv6(*this));
    if (family() != AF_INET) return {};
    char host[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &as_ipv4(*this).sin_addr, host, sizeof host);
    return host;
}

std::string Address::text() const {
    if (is_unix()) return unix_text(*this);
    const char* const prefix = datagrams_ ? "udp:" : "";
    if (family() == AF_INET6) return fmt::format("{}[{}]:{}", prefix, host_text(), port());
    return family() == AF_INET ? fmt::format("{}{}:{}", prefix, host_text(), port()) : std::string();
}

bool operator==(const Address& left, const Address& right) noexcept {
    if (left.family() != right.family() || left.port() != right.port() || left.datagrams_ != right.datagrams_)
        return false;
    if (left.is_unix()) return unix_name(left) == unix_name(right);
    if (left.family() == AF_INET) return as_ipv4(left).sin_addr.s_addr == as_ipv4(right).sin_addr.s_addr;
    if (left.family() != AF_INET6) return true;
    return as_ipv6(left).sin6_scope_id == as_ipv6(right).sin6_scope_id &&
           IN6_ARE_ADDR_EQUAL(&as_ipv6(left).sin6_addr, &as_ipv6(right).sin6_addr);
}

}  // namespace drover
