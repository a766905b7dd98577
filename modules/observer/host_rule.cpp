#include "modules/observer/host_rule.h"

#include "modules/http/http_syntax.h"

#include <algorithm>
#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>

namespace drover::observer {

namespace {

// A unix socket is, and what the kernel does not know any more.
bool is_local(const Address& local) noexcept {
    const Address address = local.unmapped();
    if (address.family() == AF_INET) {
        sockaddr_in plain{};
        std::memcpy(&plain, address.data(), sizeof(plain));
        return ntohl(plain.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    }
    if (address.family() != AF_INET6) return true;
    sockaddr_in6 wide{};
    std::memcpy(&wide, address.data(), sizeof(wide));
    return IN6_IS_ADDR_LOOPBACK(&wide.sin6_addr);
}

bool is_ipv4(const std::string& text) noexcept {
    in_addr address{};
    return ::inet_pton(AF_INET, text.c_str(), &address) == 1;
}

}  // namespace

HostRule::HostRule(const std::vector<std::string_view>& names) {
    std::ranges::transform(names, std::back_inserter(names_), http::lower_host);
}

bool HostRule::allows(std::string_view host, const Address& local) const {
    if (host.empty() || host.starts_with('[') || !is_local(local)) return true;
    const std::string name = http::lower_host(host.substr(0, host.find(':')));
    const std::string_view localhost = "localhost";
    return is_ipv4(name) || name == localhost || name.ends_with(".localhost") ||
           std::ranges::find(names_, name) != names_.end();
}

}  // namespace drover::observer
