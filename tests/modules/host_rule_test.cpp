#include "modules/observer/host_rule.h"

#include <string>

#include <doctest/doctest.h>

using namespace drover;
using observer::HostRule;

TEST_CASE("on loopback addresses and unix sockets only names that nobody else can give are taken") {
    const HostRule rule({"Drover.example"});
    for (const std::string address :
         {"127.0.0.1:9180", "127.8.9.1:1", "[::1]:9180", "[::ffff:127.0.0.1]:9180", "unix:/run/observer.sock",
          "unix:@observer"}) {
        CAPTURE(address);
        const Address local = Address::parse(address);
        for (const std::string host :
             {"", "localhost", "LocalHost:9180", "a.localhost", "127.0.0.1", "127.0.0.1:9180", "10.0.0.1:80",
              "[::1]", "[::1]:9180", "drover.example", "DROVER.EXAMPLE:80", "drover.example.",
              "Drover.Example.:80", "localhost.", "a.localhost.:80"}) {
            CHECK_MESSAGE(rule.allows(host, local), host);
        }
        for (const std::string host : {"example.com", "example.com:9180", "localhost.example.com",
                                       "notlocalhost", "127.0.0.1.example.com", "a.drover.example",
                                       "drover.example..", "example", "127.1.evil", ":80"}) {
            CHECK_MESSAGE(!rule.allows(host, local), host);
        }
    }
}

TEST_CASE("a name that is configured with a final dot is the same name") {
    const HostRule rule({"Drover.example."});
    CHECK(rule.allows("drover.example", Address::parse("127.0.0.1:80")));
    CHECK(rule.allows("drover.example.:80", Address::parse("127.0.0.1:80")));
}

TEST_CASE("on other addresses any name is") {
    const HostRule rule({});
    for (const std::string address : {"192.0.2.1:9180", "[2001:db8::1]:9180", "[::ffff:192.0.2.1]:80"})
        CHECK(rule.allows("example.com", Address::parse(address)));
    CHECK_FALSE(rule.allows("drover.example", Address::parse("127.0.0.1:80")));
    CHECK_FALSE(rule.allows("example.com", Address()));
}
