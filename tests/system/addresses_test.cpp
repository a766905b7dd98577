// Addresses that the machine does not have, or not yet, and the one host name that is known.
#include "tests/support/http_client.h"
#include "tests/support/master_under_test.h"
#include "tests/support/ports.h"
#include "tests/support/skipped.h"

#include <array>
#include <optional>
#include <string>
#include <vector>

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

TEST_CASE(
    "an optional address that is absent is in the status, and in the log once for each start and reload") {
    const ReservedPort port;
    UniqueFd taken = occupy_port(port.number());
    MasterUnderTest master({.rest = listener_table(port.address(), "optional = true\n")});
    const std::string warning = "goes without its optional listener " + port.address();
    const std::string reason = "bind " + port.address() + ": Address already in use";
    const auto warnings = [&] {
        const std::string output = master.output();
        std::size_t count = 0;
        for (std::size_t at = output.find(warning); at != output.npos; at = output.find(warning, at + 1))
            ++count;
        return count;
    };
    CHECK(warnings() == 1);
    CHECK(master.cli({"reload"}).code() == 0);
    CHECK(warnings() == 2);
    const std::string json = master.cli({"status", "--json"}).output;
    const std::string degraded = "pool main " + warning + ": " + reason;
    CHECK_MESSAGE(json.find("\"degraded\": [\n    \"" + degraded) != std::string::npos, json);
    CHECK_MESSAGE(json.find("\"absent\": \"" + reason) != std::string::npos, json);
    CHECK_MESSAGE(json.find("\"absent\": null") != std::string::npos, json);
    CHECK(master.status().state == "running");
    const std::string screen = master.cli({"status"}).output;
    CHECK_MESSAGE(screen.find("degraded: " + degraded) != std::string::npos, screen);
    CHECK_MESSAGE(screen.find(port.address() + " (absent)") != std::string::npos, screen);

    taken.reset();
    CHECK(master.cli({"reload"}).code() == 0);
    master.wait_until("nothing is degraded", [&master] {
        return master.cli({"status", "--json"}).output.find("\"degraded\": []") != std::string::npos;
    });
    CHECK(warnings() == 2);
    master.finish();
}

TEST_CASE("a port of localhost that is in use on ::1 is an error") {
    if (lacks_ipv6()) return;
    const ReservedPort port;
    const UniqueFd taken(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in6 place{};
    place.sin6_family = AF_INET6;
    place.sin6_port = htons(port.number());
    place.sin6_addr = in6addr_loopback;
    REQUIRE(::bind(taken.get(), reinterpret_cast<const sockaddr*>(&place), sizeof place) == 0);
    REQUIRE(::listen(taken.get(), 1) == 0);
    MasterUnderTest master;
    const std::string number = std::to_string(port.number());
    master.write_config({.body = "second", .rest = listener_table("localhost:" + number, "")});
    const CommandResult refused = master.cli({"reload"});
    CHECK(refused.code() == 1);
    CHECK_MESSAGE(
        refused.errors.find("bind [::1]:" + number + ": Address already in use") != std::string::npos,
        refused.errors);
    CHECK(master.get() == "first");
    master.finish();
}

TEST_CASE(
    "a reload that is refused leaves an optional address that has come as it was, and the next has it") {
    for (const char* const way : {"hot", "--fresh"}) {
        CAPTURE(way);
        const ReservedPort port;
        const ReservedPort other;
        UniqueFd taken = occupy_port(port.number());
        const UniqueFd taken_too = occupy_port(other.number());
        const std::string optional = listener_table(port.address(), "optional = true\n");
        MasterUnderTest master({.workers = 3, .rest = optional});
        taken.reset();
        std::vector<std::string> command{"reload"};
        if (std::string(way) == "--fresh") command.emplace_back(way);
        master.write_config(
            {.body = "second", .workers = 1, .rest = optional + listener_table(other.address(), "")});
        CHECK(master.cli(command).code() == 1);
        taken = occupy_port(port.number());  // fails where the refused reload has kept the address
        taken.reset();
        CHECK(master.get() == "first");

        master.write_config({.body = "third", .workers = 2, .rest = optional});
        const CommandResult result = master.cli(command);
        CHECK_MESSAGE(result.code() == 0, result.errors);
        CHECK(result.output.find("it could not be had before") != std::string::npos);
        for (int i = 0; i < 20; ++i)
            CHECK(http_get(port.number()).body == "third");
        master.finish();
    }
}

TEST_CASE("an address that cannot be had is told as the file writes it, with its place and what helps") {
    const ReservedPort port;
    const UniqueFd taken = occupy_port(port.number());
    const std::string number = std::to_string(port.number());
    const std::string key = ": pool.main.listen[2].address: bind ";
    const std::vector<std::array<std::string, 2>> faults = {
        {"*:" + number, "*:" + number + ": Address already in use"},
        {"192.0.2.1:" + number,
         "192.0.2.1:" + number + ": Cannot assign requested address; freebind = true"}};
    for (const auto& [address, text] : faults) {
        const TestConfig config{.rest = listener_table(address, "")};
        MasterUnderTest unstarted(config, {.wait_ready = false});
        CHECK(unstarted.wait_exit().code == 1);
        CHECK_MESSAGE(unstarted.output().find(unstarted.config_path() + ":") != std::string::npos,
                      unstarted.output());
        CHECK_MESSAGE(unstarted.output().find(key + text) != std::string::npos, unstarted.output());
        MasterUnderTest master;
        master.write_config(config);
        const CommandResult refused = master.cli({"reload"});
        CHECK(refused.code() == 1);
        CHECK_MESSAGE(refused.errors.find(master.config_path() + ":") != std::string::npos, refused.errors);
        CHECK_MESSAGE(refused.errors.find(key + text) != std::string::npos, refused.errors);
        master.finish();
    }
}

TEST_CASE("a unix path that cannot be given away is told with its place, at the start and by a reload") {
    if (lacks_root()) return;  // starts as another user
    const std::string fault = ": pool.main.listen[2].address: chown ";
    const auto config = [](const std::string& keys) {
        return TestConfig{.rest = listener_table("unix:given.sock", keys)};
    };
    constexpr uid_t nobody = 65534;
    MasterUnderTest unstarted(config("unix_group = \"0\"\n"), {.wait_ready = false, .user = nobody});
    CHECK(unstarted.wait_exit().code == 1);
    CHECK_MESSAGE(unstarted.output().find(fault) != std::string::npos, unstarted.output());
    MasterUnderTest master(config(""), {.user = nobody});
    master.write_config(config("unix_group = \"0\"\n"));
    const CommandResult refused = master.cli({"reload"});
    CHECK(refused.code() == 1);
    CHECK_MESSAGE(refused.errors.find(fault) != std::string::npos, refused.errors);
    master.finish();
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
    if (has_ipv6())
        CHECK(answers_on_ipv6(port.number()));
    else
        master.wait_output("[::1]:" + number + " (http, absent)");
    const CommandResult same = master.cli({"reload"});
    CHECK(same.code() == 0);
    CHECK(master.output().find("goes without") == std::string::npos);  // the file calls nothing optional
    master.write_config({.rest = listener_table("localhost.example:" + number, "")});
    const CommandResult refused = master.cli({"reload"});
    CHECK(refused.code() == 1);
    CHECK(refused.errors.find("host names are not looked up") != std::string::npos);
    CHECK(http_get(port.number()).body == "first");
    master.finish();
}

}  // namespace drover::test
