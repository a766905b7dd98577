#include "core/net/address.h"

#include "core/base/unique_fd.h"

#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <string>
#include <system_error>

#include <doctest/doctest.h>
#include <netinet/in.h>

using drover::Address;
using drover::UniqueFd;

namespace {

std::string error_of(const std::string& text, const std::string& base = {}) {
    try {
        Address::parse(text, base);
    } catch (const std::invalid_argument& error) {
        return error.what();
    }
    return "";
}

bool error_contains(const std::string& text, const std::string& part) {
    const std::string error = error_of(text);
    INFO(error);
    return error.starts_with("\"" + text + "\": ") && error.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("an IPv4 address is parsed into its bytes") {
    const Address address = Address::parse("127.0.0.1:8080");
    REQUIRE(address.family() == AF_INET);
    CHECK(address.size() == sizeof(sockaddr_in));
    CHECK(address.port() == 8080);
    const auto* bytes = reinterpret_cast<const sockaddr_in*>(address.data());
    CHECK(bytes->sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    CHECK_FALSE(address.is_unix());
    CHECK(Address::parse("*:80") == Address::parse("0.0.0.0:80"));
    CHECK(Address::parse("*:0").port() == 0);
    CHECK(Address::parse("1.2.3.4:65535").port() == 65535);
}

TEST_CASE("an IPv6 address is parsed into its bytes") {
    const Address address = Address::parse("[::1]:443");
    REQUIRE(address.family() == AF_INET6);
    CHECK(address.size() == sizeof(sockaddr_in6));
    CHECK(address.port() == 443);
    const auto* bytes = reinterpret_cast<const sockaddr_in6*>(address.data());
    CHECK(IN6_IS_ADDR_LOOPBACK(&bytes->sin6_addr));

    const Address zoned = Address::parse("[fe80::1%lo]:80");
    CHECK(reinterpret_cast<const sockaddr_in6*>(zoned.data())->sin6_scope_id != 0);
    CHECK(zoned == Address::parse("[fe80::1%1]:80"));
    CHECK_FALSE(zoned == Address::parse("[fe80::1%2]:80"));
}

TEST_CASE("text() gives back what parse() took") {
    const std::string texts[] = {"127.0.0.1:8080", "0.0.0.0:0",       "[::1]:8080",        "[2001:db8::7]:1",
                                 "[::]:65535",     "[fe80::1%lo]:80", "unix:/run/a.sock",  "unix:a.sock",
                                 "unix:@name",     "unix:./@name",    "[::ffff:1.2.3.4]:5"};
    for (const std::string& text : texts) {
        CAPTURE(text);
        const Address address = Address::parse(text);
        CHECK(address.text() == text);
        CHECK(Address::parse(address.text()) == address);
    }
    CHECK(Address().text().empty());
}

TEST_CASE("unix paths are absolute or relative to the base directory") {
    CHECK(Address::parse("unix:/a/b", "/base").unix_path() == "/a/b");
    CHECK(Address::parse("unix:b.sock", "/base").unix_path() == "/base/b.sock");
    CHECK(Address::parse("unix:run/b.sock", "/").unix_path() == "/run/b.sock");
    CHECK(Address::parse("unix:b.sock").unix_path() == "b.sock");

    const Address abstract = Address::parse("unix:@b", "/base");
    CHECK(abstract.is_unix());
    CHECK_FALSE(abstract.is_unix_path());
    CHECK(abstract.unix_path().empty());
    CHECK(abstract.size() == offsetof(sockaddr_un, sun_path) + 2);
    CHECK_FALSE(abstract == Address::parse("unix:b"));
}

TEST_CASE("what is no address is refused, and the error says what would be right") {
    CHECK(error_of("127.0.0.1:99999") == "\"127.0.0.1:99999\": port must be 0 to 65535");
    CHECK(error_contains("127.0.0.1:", "port must be 0 to 65535"));
    CHECK(error_contains("127.0.0.1:-1", "port must be 0 to 65535"));
    CHECK(error_contains("127.0.0.1:+1", "port must be 0 to 65535"));
    CHECK(error_contains("127.0.0.1: 80", "port must be 0 to 65535"));
    CHECK(error_contains("127.0.0.1:80 ", "port must be 0 to 65535"));
    CHECK(error_contains("127.0.0.1:99999999999999999999", "port must be 0 to 65535"));
    CHECK(error_contains("127.0.0.1:080", "must not start with 0"));
    CHECK(error_contains("127.0.0.1", "port is missing"));
    CHECK(error_contains("[::1]", "port is missing"));
    CHECK(error_contains("8080", "write \"*:8080\""));
    CHECK(error_contains("", "port is missing"));
    CHECK(error_contains("localhost:80", "host names are not looked up"));
    CHECK(error_contains(":80", "write \"*:80\""));
    CHECK(error_contains("127.1:80", "host names are not looked up"));
    CHECK(error_contains("256.0.0.1:80", "host names are not looked up"));
    CHECK(error_contains(" 127.0.0.1:80", "host names are not looked up"));
    CHECK(error_contains("::1:80", "in brackets"));
    CHECK(error_contains("[::1:80", "in brackets"));
    CHECK(error_contains("::1]:80", "in brackets"));
    CHECK(error_contains("[127.0.0.1]:80", "not an IPv6 address"));
    CHECK(error_contains("[]:80", "not an IPv6 address"));
    CHECK(error_contains("[:80", "in brackets"));
    CHECK(error_contains("[fe80::1]:80", "needs its interface"));
    CHECK(error_contains("[fe80::1%no-such-nic]:80", "there is no network interface \"no-such-nic\""));
    CHECK(error_contains("[fe80::1%]:80", "there is no network interface"));
    CHECK(error_contains("[::1%lo]:80", "only a link-local address"));
    CHECK(error_contains("tcp:127.0.0.1:80", "has nothing before it"));
    CHECK(error_contains("http://127.0.0.1:80", "has nothing before it"));
    CHECK(error_contains("/run/a.sock", "write \"unix:/run/a.sock\""));
    CHECK(error_contains("unix:", "path is missing"));
    CHECK(error_contains("unix:@", "abstract name is missing"));
    CHECK(error_of(std::string("unix:/a\0b", 9)).find("\"unix:/a\": a zero byte") == 0);
    CHECK(error_of(std::string("127.0.0.1\0:80", 13)).find("\"127.0.0.1\": a zero byte") == 0);
}

TEST_CASE("a unix path may have 107 bytes and no more") {
    const std::string longest = "/" + std::string(106, 'x');
    CHECK(Address::parse("unix:" + longest).unix_path() == longest);
    CHECK(error_contains("unix:" + longest + "x", "the path has 108 bytes, at most 107 are possible"));
    CHECK(error_of("unix:" + std::string(100, 'x'), "/base/dir").find("has 110 bytes, at most 107") !=
          std::string::npos);
    const std::string longest_name = "@" + std::string(107, 'x');
    CHECK(Address::parse("unix:" + longest_name).text() == "unix:" + longest_name);
    CHECK(error_contains("unix:" + longest_name + "x", "the abstract name has 108 bytes, at most 107"));
}

TEST_CASE("equality looks at the address, not at padding or how the kernel counts a path's length") {
    sockaddr_un raw{};
    raw.sun_family = AF_UNIX;
    std::strcpy(raw.sun_path, "/run/a.sock");
    const auto* pointer = reinterpret_cast<const sockaddr*>(&raw);
    CHECK(Address::from_sockaddr(pointer, sizeof raw) == Address::parse("unix:/run/a.sock"));

    sockaddr_in padded{};
    padded.sin_family = AF_INET;
    padded.sin_port = htons(80);
    std::memset(padded.sin_zero, 1, sizeof padded.sin_zero);
    CHECK(Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&padded), sizeof padded) ==
          Address::parse("*:80"));

    CHECK_FALSE(Address::parse("127.0.0.1:80") == Address::parse("127.0.0.1:81"));
    CHECK_FALSE(Address::parse("127.0.0.1:80") == Address::parse("127.0.0.2:80"));
    CHECK_FALSE(Address::parse("*:80") == Address::parse("[::]:80"));
    CHECK(Address() == Address());
}

TEST_CASE("an address too short for its family is none") {
    sockaddr_in raw{};
    raw.sin_family = AF_INET;
    const auto* pointer = reinterpret_cast<const sockaddr*>(&raw);
    CHECK(Address::from_sockaddr(pointer, sizeof raw - 1).family() == AF_UNSPEC);
    CHECK(Address::from_sockaddr(pointer, 1).family() == AF_UNSPEC);
    CHECK(Address::from_sockaddr(nullptr, 0).size() == 0);
}

TEST_CASE("a socket's own and its peer's address") {
    const Address any_port = Address::parse("127.0.0.1:0");
    const UniqueFd server(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::bind(server.get(), any_port.data(), any_port.size()) == 0);
    REQUIRE(::listen(server.get(), 1) == 0);
    const Address bound = Address::local_of(server.get());
    CHECK(bound.port() != 0);

    const UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::connect(client.get(), bound.data(), bound.size()) == 0);
    CHECK(Address::peer_of(client.get()) == bound);
    CHECK_THROWS_AS(Address::peer_of(server.get()), std::system_error);

    int pair[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    const UniqueFd left(pair[0]);
    const UniqueFd right(pair[1]);
    CHECK(Address::peer_of(left.get()).text() == "unix:");
}

TEST_CASE("a client's address is written without brackets and as the IPv4 one that it is") {
    const auto host = [](const char* text) { return Address::parse(text).unmapped().host_text(); };
    CHECK(host("127.0.0.1:80") == "127.0.0.1");
    CHECK(host("[::1]:80") == "::1");
    CHECK(host("[::ffff:192.0.2.1]:80") == "192.0.2.1");
    CHECK(host("udp:[2001:db8::1]:80") == "2001:db8::1");
    CHECK(host("unix:/a") == "unix:/a");
    CHECK(Address().host_text().empty());
    CHECK(Address::parse("[::ffff:192.0.2.1]:80").unmapped() == Address::parse("192.0.2.1:80"));
    CHECK(Address::parse("udp:[::ffff:192.0.2.1]:80").unmapped() == Address::parse("udp:192.0.2.1:80"));
    // A listener's is what was configured.
    CHECK(Address::parse("[::ffff:192.0.2.1]:80").text() == "[::ffff:192.0.2.1]:80");
    CHECK(Address::parse("[::ffff:192.0.2.1]:80").host_text() == "::ffff:192.0.2.1");
}

TEST_CASE("a unix address for datagrams is another one than the same for connections") {
    const Address address = Address::parse("unixgram:/run/a.sock");
    CHECK(address.takes_datagrams());
    CHECK_FALSE(address.is_udp());
    CHECK(address.unix_path() == "/run/a.sock");
    CHECK(address.text() == "unixgram:/run/a.sock");
    CHECK(Address::parse("unixgram:a.sock", "/run").text() == "unixgram:/run/a.sock");
    CHECK(Address::parse("unixgram:@name").text() == "unixgram:@name");
    CHECK_FALSE(address == Address::parse("unix:/run/a.sock"));
}

TEST_CASE("a udp address is another one than the same for connections") {
    const Address address = Address::parse("udp:127.0.0.1:5353");
    CHECK(address.is_udp());
    CHECK(address.family() == AF_INET);
    CHECK(address.port() == 5353);
    CHECK(address.text() == "udp:127.0.0.1:5353");
    CHECK(Address::parse("udp:*:53").text() == "udp:0.0.0.0:53");
    CHECK(Address::parse("udp:[::1]:53").text() == "udp:[::1]:53");
    CHECK_FALSE(address == Address::parse("127.0.0.1:5353"));
    CHECK(address == Address::parse("127.0.0.1:5353").as_datagrams());
    CHECK_FALSE(Address::parse("127.0.0.1:5353").is_udp());
    CHECK(Address::parse("udp:*:0").is_wildcard());
    CHECK(Address::parse("[::]:1").is_wildcard());
    CHECK_FALSE(Address::parse("udp:[::1]:1").is_wildcard());
    CHECK_FALSE(address.is_wildcard());
    CHECK_FALSE(Address::parse("unix:/a").is_wildcard());

    CHECK(error_contains("udp:127.0.0.1", "port is missing"));
    CHECK(error_contains("udp:", "port is missing"));
    CHECK(error_contains("udp:localhost:53", "host names are not looked up"));
    CHECK(error_contains("udp:unix:/a", "datagrams over a unix socket are written \"unixgram:PATH\""));
    CHECK(error_contains("udp:::1:53", "stands in brackets"));
    CHECK(error_contains("udp:1.2.3.4:65536", "port must be 0 to 65535"));
}
