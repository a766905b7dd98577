#include "modules/observer/host_rule.h"

#include "modules/http/http_syntax.h"

#include <algorithm>
#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>

namespace drover::observer {

namespace {

bool is_loopback(const in_addr& address) noexcept {
    return ntohl(address.s_addr) >> 24 == IN_LOOPBACKNET;
}

// A unix socket is, and what the kernel does not know any more.
bool is_local(const Address& address) noexcept {
    if (address.family() == AF_INET) {
        sockaddr_in plain{};
        std::memcpy(&plain, address.data(), sizeof(plain));
        return is_loopback(plain.sin_addr);
    }
    if (address.family() != AF_INET6) return true;
    sockaddr_in6 wide{};
    std::memcpy(&wide, address.data(), sizeof(wide));
    if (!IN6_IS_ADDR_V4MAPPED(&wide.sin6_addr)) return IN6_IS_ADDR_LOOPBACK(&wide.sin6_addr);
    in_addr mapped{};
    std::memcpy(&mapped, wide.sin6_addr.s6_addr + 12, sizeof(mapped));
    return is_loopback(mapped);
}

bool is_ipv4(const std::string& text) noexcept {
    in_addr address{};
    return ::inet_pton(AF_INET, text.c_str(), &address) == 1;
}

std::string lower(std::string_view text) {
    std::string result(text);
    std::ranges::transform(result, result.begin(), http::detail::lower);
    return result;
}

}  // namespace

HostRule::HostRule(const std::vector<std::string_view>& names) {
    std::ranges::transform(names, std::back_inserter(names_), lower);
}

bool HostRule::allows(std::string_view host, const Address& local) const {
    if (host.empty() || host.starts_with('[') || !is_local(local)) return true;
    const std::string name = lower(host.substr(0, host.find(':')));
    const std::string_view localhost = "localhost";
    return is_ipv4(name) || name == localhost || name.ends_with(".localhost") ||
           std::ranges::find(names_, name) != names_.end();
}

}  // namespace drover::observer
