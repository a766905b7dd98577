// Addresses that the machine does not have, or not yet, and the one host name that is known.
#include "tests/support/http_client.h"
#include "tests/support/master_under_test.h"
#include "tests/support/ports.h"

#include <optional>
#include <string>

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace drover::test {
namespace {

std::string listener_table(const std::string& address, const std::string& keys) {
    return "\n[[pool.main.listen]]\naddress = \"" + address + "\"\nmodule = \"http\"\n" + keys;
}

bool answers_on_ipv6(std::uint16_t port) {
    const UniqueFd socket(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in6 place{};
    place.sin6_family = AF_INET6;
    place.sin6_port = htons(port);
    place.sin6_addr = in6addr_loopback;
    return ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&place), sizeof place) == 0;
}

bool machine_has_ipv6() {
    const UniqueFd socket(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in6 place{};
    place.sin6_family = AF_INET6;
    place.sin6_addr = in6addr_loopback;
    return socket && ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&place), sizeof place) == 0;
}

}  // namespace

TEST_CASE("an address that is not there yet is refused without freebind, and had with it") {
    MasterUnderTest master;
    const ReservedPort port;
    const std::string address = "192.0.2.1:" + std::to_string(port.number());
    master.write_config({.body = "second", .rest = listener_table(address, "")});
    const CommandResult refused = master.cli({"reload"});
    CHECK(refused.code() == 1);
    CHECK(refused.errors.find("bind " + address + ": Cannot assign requested address") != std::string::npos);
    CHECK(master.get() == "first");
    for (const char* const kind : {"", "udp:"}) {
        TestConfig config{.body = "third"};
        config.rest = listener_table(kind + address, "freebind = true\n");
        if (*kind != '\0') config.rest.replace(config.rest.find("\"http\""), 6, "\"echo\"");
        master.write_config(config);
        const CommandResult result = master.cli({"reload"});
        CHECK_MESSAGE(result.code() == 0, result.errors);
        CHECK(master.get() == "third");
    }
    master.finish();
}

TEST_CASE("the service goes without an optional address, says so, and tries again at each reload") {
    for (const char* const way : {"same", "hot", "--fresh"}) {
        CAPTURE(way);
        const ReservedPort port;
        UniqueFd taken = occupy_port(port.number());
        const auto config = [&](const std::string& body) {
            return TestConfig{.body = body, .rest = listener_table(port.address(), "optional = true\n")};
        };
        MasterUnderTest master(
            {}, {.prepare = [&](MasterUnderTest& self) { self.write_config(config("first")); }});
        master.wait_output("goes without its optional listener " + port.address() + ": bind " +
                           port.address() + ": Address already in use");
        CHECK(master.get() == "first");
        CHECK(master.cli({"reload"}).code() == 0);

        taken.reset();
        std::vector<std::string> command{"reload"};
        if (std::string(way) == "--fresh") command.emplace_back(way);
        const std::string body = std::string(way) == "hot" ? "second" : "first";
        master.write_config(config(body));
        const CommandResult result = master.cli(command);
        CHECK_MESSAGE(result.code() == 0, result.errors);
        CHECK((result.output + result.errors).find(port.address()) != std::string::npos);
        for (int i = 0; i < 20; ++i)
            CHECK(http_get(port.number()).body == body);
        master.write_config({.body = "third"});
        CHECK(master.cli({"reload"}).code() == 0);
        CHECK(master.get() == "third");
        master.finish();
    }
}

TEST_CASE("an optional address that comes to be wanted is refused while it cannot be had") {
    const ReservedPort port;
    const UniqueFd taken = occupy_port(port.number());
    MasterUnderTest master({.rest = listener_table(port.address(), "optional = true\n")});
    master.write_config({.body = "second", .rest = listener_table(port.address(), "")});
    const CommandResult refused = master.cli({"reload"});
    CHECK(refused.code() == 1);
    CHECK(refused.errors.find("bind " + port.address() + ": Address already in use") != std::string::npos);
    CHECK(master.get() == "first");
    master.finish();
}

TEST_CASE("localhost is 127.0.0.1, and ::1 where there is IPv6; no other name is looked up") {
    const ReservedPort port;
    const std::string number = std::to_string(port.number());
    MasterUnderTest master({.rest = listener_table("localhost:" + number, "")});
    CHECK(http_get(port.number()).body == "first");
    if (machine_has_ipv6())
        CHECK(answers_on_ipv6(port.number()));
    else
        master.wait_output("goes without its optional listener [::1]:" + number);
    const CommandResult same = master.cli({"reload"});
    CHECK(same.code() == 0);
    master.write_config({.rest = listener_table("localhost.example:" + number, "")});
    const CommandResult refused = master.cli({"reload"});
    CHECK(refused.code() == 1);
    CHECK(refused.errors.find("host names are not looked up") != std::string::npos);
    CHECK(http_get(port.number()).body == "first");
    master.finish();
}

}  // namespace drover::test
