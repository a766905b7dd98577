#include "conf/reader/pool_checker.h"

#include "conf/settings.h"
#include "tests/conf/toy_modules.h"

#include <set>
#include <string>

#include <doctest/doctest.h>

using namespace drover;

namespace {

// The findings of one listener; its keys stand from line 4 on.
std::string listener(const std::string& address, const std::string& module, const std::string& keys = "") {
    return toy::findings("[pool.a]\nmodules = ['http', 'echo', 'beacon']\n[[pool.a.listen]]\naddress = '" +
                         address + "'\nmodule = '" + module + "'\n" + keys);
}

}  // namespace

TEST_CASE("udp listeners: modules that take datagrams, and those alone") {
    CHECK(listener("udp:*:53", "echo").empty());
    CHECK(listener("udp:[::1]:53", "beacon").empty());
    CHECK(listener("*:53", "echo").empty());
    CHECK(listener("udp:*:53", "http") ==
          "F:5:10: pool.a.listen[0].module: the module \"http\" takes no datagrams, which are what such "
          "a listener has\n");
    CHECK(listener("*:53", "beacon") ==
          "F:5:10: pool.a.listen[0].module: the module \"beacon\" takes datagrams alone; its address begins "
          "with \"udp:\" or \"unixgram:\"\n");
    CHECK(listener("unix:a", "beacon").starts_with("F:5:10: pool.a.listen[0].module: "));
    CHECK(listener("udp:elsewhere:53", "echo").starts_with("F:4:11: pool.a.listen[0].address: "));
}

TEST_CASE("udp listeners: keys of connections mean nothing to them, and the other way round") {
    CHECK(
        listener("udp:*:53", "echo", "receive_buffer = '1M'\nmax_datagram = 4096\nipv6_only = true").empty());
    CHECK(listener("udp:*:53", "echo", "receive_buffer = 'system'\nbalance = 'shared'").empty());
    for (const char* const line :
         {"backlog = 5", "nodelay = true", "defer_accept = '1s'", "keepalive = true", "keepalive_idle = '1s'",
          "keepalive_interval = '1s'", "keepalive_count = 3"}) {
        const std::string key = std::string(line).substr(0, std::string(line).find(' '));
        CHECK(listener("udp:*:53", "echo", line) ==
              "F:6:1: pool.a.listen[0]." + key +
                  ": means nothing to a listener for datagrams; leave it out\n");
    }
    CHECK(listener("udp:*:53", "echo", "balance = 'reuseport'") ==
          "F:6:11: pool.a.listen[0].balance: a listener for datagrams has one socket for all workers, so "
          "that no "
          "datagram waits for a worker that is gone; write \"shared\", or leave it out\n");
    for (const char* const line : {"receive_buffer = '1M'", "max_datagram = 4096"}) {
        const std::string key = std::string(line).substr(0, std::string(line).find(' '));
        CHECK(listener("*:53", "echo", line) ==
              "F:6:1: pool.a.listen[0]." + key + ": is for datagrams alone, as of \"udp:127.0.0.1:5353\"\n");
    }
    CHECK(listener("udp:*:53", "echo", "max_datagram = 100").find("allowed: 512 to 64K") !=
          std::string::npos);
    CHECK(listener("udp:*:53", "echo", "max_datagram = '1M'").find("allowed: 512 to 64K") !=
          std::string::npos);
}

TEST_CASE("what other servers take is told how it is written here") {
    const auto says = [](const std::string& found, const char* part) {
        CHECK_MESSAGE(found.find(part) != std::string::npos, found);
    };
    says(listener(":22000", "echo", ""), "the address is missing; write \"*:22000\" for every one");
    says(listener("udp:22000", "echo", ""), "the address is missing; write \"*:22000\" for every one");
    says(listener("127.0.0.1:$PORT", "echo", ""), "; ${PORT} is the environment's value of PORT");
    says(listener("unix:a", "echo", "unix_mode = 660"), "a text stands in quotes: \"660\"");
    says(listener("unix:a", "echo", "backlog = '$A_1-'"), "; ${A_1} is the environment's value of A_1");
    says(listener("*:80", "echo", "defer_accept = '$T'"), "; ${T} is the environment's value of T");
    CHECK(listener("*:80", "echo", "backlog = '$'").find("environment") == std::string::npos);
}

TEST_CASE("rights of a unix path are for paths alone: an abstract name has none, and anybody may connect") {
    for (const char* const address : {"unix:@a", "unixgram:@a", "udp:*:53", "*:80", "localhost:80"}) {
        for (const char* const line : {"unix_mode = '0600'", "unix_owner = '0'", "unix_group = '0'"})
            CHECK(
                listener(address, "echo", line).find("is for addresses that are the path of a unix socket") !=
                std::string::npos);
        CHECK(listener(address, "echo", "unix_mode = '0666'\nunix_owner = ''").empty());
    }
    CHECK(listener("unix:a", "echo", "unix_mode = '0600'").empty());
    CHECK(listener("unix:a:@b", "echo", "unix_mode = '0600'").empty());
}

TEST_CASE("listeners for datagrams over a unix socket have a path's rights, and no buffer of their own") {
    CHECK(listener("unixgram:a", "echo", "unix_mode = '0600'\nmax_datagram = 4096").empty());
    CHECK(listener("unixgram:a", "echo", "receive_buffer = '1M'") ==
          "F:6:1: pool.a.listen[0].receive_buffer: means nothing to a unix socket: its senders wait; leave "
          "it out\n");
    CHECK(listener("unixgram:a", "echo", "backlog = 5").find("means nothing") != std::string::npos);
}

TEST_CASE("udp listeners: of every key it is known which listeners may have it") {
    const std::set<std::string> always{"address", "module"};
    const std::set<std::string> both{"balance", "ipv6_only", "freebind", "optional"};
    const std::set<std::string> neither{"unix_mode", "unix_owner", "unix_group"};
    for (const OptionKey& key : ListenSettings::options().keys()) {
        if (always.contains(key.name)) continue;
        CAPTURE(key.name);
        // No key takes it: the value is complained of, and where it means nothing the key alone.
        const std::string line = key.name + " = [[]]";
        if (neither.contains(key.name)) {
            for (const char* const address : {"udp:*:53", "*:53"})
                CHECK(listener(address, "echo", line).find("the path of a unix socket") != std::string::npos);
            continue;
        }
        const bool not_for_udp =
            listener("udp:*:53", "echo", line).find("means nothing") != std::string::npos;
        const bool not_for_tcp =
            listener("*:53", "echo", line).find("for datagrams alone") != std::string::npos;
        CHECK(not_for_udp + not_for_tcp == (both.contains(key.name) ? 0 : 1));
    }
}

TEST_CASE("udp listeners: one port for connections and datagrams, not twice for either") {
    const auto two = [](const char* first, const char* second) {
        return toy::findings(std::string("[pool.a]\nmodules = ['echo']\nlisten = [{ address = '") + first +
                             "', module = 'echo' }, { address = '" + second + "', module = 'echo' }]\n");
    };
    CHECK(two("*:53", "udp:*:53").empty());
    CHECK(two("udp:*:0", "udp:*:0").empty());
    CHECK(two("udp:*:53", "udp:0.0.0.0:53").find("a listener on udp:0.0.0.0:53 stands already at F:3:") !=
          std::string::npos);
}
