// Reloads that move a port between addresses: the old and the new one exist together for a moment, and
// nobody's connection is lost in it.
#include "core/net/address.h"
#include "tests/support/counting_udp_client.h"
#include "tests/support/http_client.h"
#include "tests/support/http_load.h"
#include "tests/support/master_under_test.h"
#include "tests/support/ports.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

namespace drover::test {
namespace {

constexpr uid_t nobody = 65534;

// What a stranger has who wants to share a port: it binds the address as Drover's other sockets are bound.
UniqueFd share_place(const Address& address) {
    UniqueFd socket(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    REQUIRE(::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
    REQUIRE(::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0);
    REQUIRE(::bind(socket.get(), address.data(), address.size()) == 0);
    REQUIRE(::listen(socket.get(), 1) == 0);
    return socket;
}

struct Place {
    std::string address;
    std::string more = {};
};

class Moves {
  public:
    explicit Moves(const MasterUnderTest& master, std::string balance = "")
        : master_(master), balance_(std::move(balance)), port_(std::to_string(master.http_port())) {}

    std::string config(const std::vector<Place>& places, const std::string& body) const {
        TestConfig config{.body = body, .balance = balance_};
        for (std::size_t i = 1; i < places.size(); ++i)
            config.rest += listener(places[i]);
        config.pool = "handover_timeout = \"5s\"\n";
        const std::string first = places.front().address + port_ + "\"\n" + places.front().more + "# ";
        return config.text(first, "127.0.0.1:" + std::to_string(master_.echo_port()));
    }
    std::string listener(const Place& place) const {
        return "\n[[pool.main.listen]]\naddress = \"" + place.address + port_ + "\"\nmodule = \"http\"\n" +
               place.more + (balance_.empty() ? "" : "balance = \"" + balance_ + "\"\n");
    }

  private:
    const MasterUnderTest& master_;
    std::string balance_;
    std::string port_;
};

const std::vector<std::vector<Place>> ways = {
    {{"*:"}},
    {{"127.0.0.1:"}},
    {{"127.0.0.1:"}, {"*:"}},
    {{"*:"}},
    {{"[::]:", "ipv6_only = false\n"}},
    {{"127.0.0.1:"}, {"*:"}},
    {{"[::]:", "ipv6_only = false\n"}, {"127.0.0.1:"}},
    {{"127.0.0.1:"}},
};

void check_moves(uid_t user, const std::string& balance, const std::vector<std::string>& reload) {
    const TestConfig start{.balance = balance};
    MasterUnderTest master(start, {.user = user});
    const Moves moves(master, balance);
    HttpLoad load(master.http_port());
    unsigned number = 0;
    for (int round = 0; round < 2; ++round) {
        for (const std::vector<Place>& places : ways) {
            const std::string body = std::to_string(++number);
            CAPTURE(number);
            master.write_config_text(moves.config(places, body));
            const CommandResult result = master.cli(reload);
            CHECK_MESSAGE(result.code() == 0, result.errors);
            for (int i = 0; i < 10; ++i)
                CHECK(master.get() == body);
        }
    }
    load.stop();
    CHECK_MESSAGE(load.failures() == 0, load.first_failure());
    CHECK(load.replies() > 0);
    master.finish();
}

}  // namespace

TEST_CASE("a port moves between addresses in running workers, and no connection is lost") {
    check_moves(0, "", {"reload"});
}

TEST_CASE("a port moves between addresses with new workers, and no connection is lost") {
    check_moves(0, "", {"reload", "--fresh"});
}

TEST_CASE("a port moves between addresses with one socket for all workers") {
    check_moves(0, "shared", {"reload"});
    check_moves(0, "shared", {"reload", "--fresh"});
}

TEST_CASE("an ordinary user's port moves between addresses, and no connection is lost") {
    check_moves(nobody, "", {"reload"});
    check_moves(nobody, "", {"reload", "--fresh"});
}

namespace {

const std::vector<std::vector<Place>> together = {
    {{"127.0.0.1:"}, {"*:"}},
    {{"*:"}, {"127.0.0.1:"}},
    {{"127.0.0.1:"}, {"[::]:", "ipv6_only = false\n"}},
    {{"[::]:", "ipv6_only = false\n"}, {"127.0.0.1:"}, {"127.0.0.2:"}},
};

// The last place is another pool's.
std::string in_two_pools(const Moves& moves, std::vector<Place> places, const std::string& body) {
    const Place last = places.back();
    places.pop_back();
    std::string text = moves.config(places, body) + "\n[pool.other]\nworkers = 2\nmodules = [\"http\"]\n" +
                       moves.listener(last);
    const std::string table = "[[pool.main.listen]]";
    return text.replace(text.rfind(table), table.size(), "[[pool.other.listen]]");
}

void check_start_together(const std::vector<Place>& places, const std::string& balance, bool two_pools) {
    const auto text = [&](const MasterUnderTest& master, const std::string& body) {
        const Moves moves(master, balance);
        return two_pools ? in_two_pools(moves, places, body) : moves.config(places, body);
    };
    MasterUnderTest master(
        {}, {.prepare = [&](MasterUnderTest& self) { self.write_config_text(text(self, "first")); }});
    for (int i = 0; i < 10; ++i)
        CHECK(master.get() == "first");
    master.write_config_text(text(master, "second"));
    for (const std::vector<std::string>& reload :
         {std::vector<std::string>{"reload"}, std::vector<std::string>{"reload", "--fresh"}}) {
        const CommandResult result = master.cli(reload);
        CHECK_MESSAGE(result.code() == 0, result.errors);
        CHECK(master.get() == "second");
    }
    master.finish();
}

}  // namespace

TEST_CASE("a service starts with several addresses of a port, in any order") {
    for (const std::vector<Place>& places : together) {
        for (const char* const balance : {"", "shared"}) {
            for (const bool two_pools : {false, true}) {
                CAPTURE(places.front().address);
                CAPTURE(balance);
                CAPTURE(two_pools);
                check_start_together(places, balance, two_pools);
            }
        }
    }
}

TEST_CASE("a service starts with several addresses of a udp port") {
    for (const std::vector<std::string>& hosts :
         {std::vector<std::string>{"127.0.0.1:", "*:"}, std::vector<std::string>{"*:", "127.0.0.1:"}}) {
        const ReservedPort port;
        const std::string number = std::to_string(port.number());
        TestConfig config;
        for (const std::string& host : hosts)
            config.rest +=
                "\n[[pool.main.listen]]\naddress = \"udp:" + host + number + "\"\nmodule = \"echo\"\n";
        MasterUnderTest master(config);
        CountingUdpClient client(Address::parse("udp:127.0.0.1:" + number));
        for (const char* const way : {"reload", "--fresh"}) {
            const bool fresh = way[0] == '-';
            CHECK(master.cli(fresh ? std::vector<std::string>{"reload", way} : std::vector<std::string>{way})
                      .code() == 0);
            const Deadline deadline;
            const std::uint64_t before = client.answered();
            while (client.answered() < before + 100 && !deadline.passed())
                CHECK(master.get() == "first");
        }
        const CountingUdpClient::Totals totals = client.stop();
        CHECK_MESSAGE(totals.unanswered == 0, to_text(totals));
        master.finish();
    }
}

TEST_CASE("a stranger on a port of which a service has several addresses is found at the start") {
    UniqueFd stranger;
    MasterUnderTest master(
        {}, {.wait_ready = false, .prepare = [&](MasterUnderTest& self) {
                 stranger = share_place(Address::parse("127.0.0.2:" + std::to_string(self.http_port())));
                 self.write_config_text(Moves(self).config({{"127.0.0.1:"}, {"*:"}}, "first"));
             }});
    master.wait_output("Address already in use");
    CHECK(master.wait_exit().code == 1);
}

TEST_CASE("a stranger on the port is found, whatever options its socket has, and nothing changes") {
    MasterUnderTest master;
    const Moves moves(master);
    const Address place = Address::parse("127.0.0.2:" + std::to_string(master.http_port()));
    UniqueFd stranger = share_place(place);
    master.write_config_text(moves.config({{"*:"}}, "second"));
    for (const char* const way : {"reload", "--fresh"}) {
        const bool fresh = way[0] == '-';
        const CommandResult refused =
            master.cli(fresh ? std::vector<std::string>{"reload", way} : std::vector<std::string>{"reload"});
        CHECK(refused.code() == 1);
        CHECK(refused.errors.find("Address already in use") != std::string::npos);
        CHECK(master.get() == "first");
    }
    stranger.reset();
    CHECK(master.cli({"reload"}).code() == 0);
    CHECK(http_get(master.http_port()).body == "second");
    master.finish();
}

TEST_CASE("a move that is refused for another reason leaves the old address as it was") {
    MasterUnderTest master;
    const Moves moves(master);
    const ReservedPort other;
    const UniqueFd taken = occupy_port(other.number());
    HttpLoad load(master.http_port());
    for (const std::vector<Place>& places :
         {std::vector<Place>{{"*:"}}, {{"[::]:", "ipv6_only = false\n"}}}) {
        master.write_config_text(moves.config(places, "second") + "\n[[pool.main.listen]]\naddress = \"" +
                                 other.address() + "\"\nmodule = \"http\"\n");
        CHECK(master.cli({"reload"}).code() == 1);
        CHECK(master.cli({"reload", "--fresh"}).code() == 1);
        CHECK(master.get() == "first");
    }
    load.stop();
    CHECK_MESSAGE(load.failures() == 0, load.first_failure());
    // The sockets that were tried are gone: only the old address is there.
    master.write_config_text(moves.config({{"127.0.0.1:"}}, "third"));
    CHECK(master.cli({"reload"}).code() == 0);
    CHECK(master.get() == "third");
    master.finish();
}

TEST_CASE("a udp port moves between addresses, and no datagram is lost") {
    const ReservedPort port;
    const std::string number = std::to_string(port.number());
    const auto config = [&](const std::string& address, const std::string& body) {
        return TestConfig{.body = body,
                          .rest = "\n[[pool.main.listen]]\naddress = \"udp:" + address + number +
                                  "\"\nmodule = \"echo\"\n"};
    };
    MasterUnderTest master(config("127.0.0.1:", "first"));
    CountingUdpClient client(Address::parse("udp:127.0.0.1:" + number));
    unsigned round = 0;
    for (const char* const way : {"", "--fresh", ""}) {
        for (const char* const address : {"*:", "127.0.0.1:"}) {
            const std::string body = std::to_string(++round);
            master.write_config(config(address, body));
            std::vector<std::string> command{"reload"};
            if (*way != '\0') command.emplace_back(way);
            const CommandResult result = master.cli(command);
            CHECK_MESSAGE(result.code() == 0, result.errors);
            const std::uint64_t before = client.answered();
            const Deadline deadline;
            while (client.answered() < before + 200 && !deadline.passed())
                CHECK(master.get() == body);
        }
    }
    const CountingUdpClient::Totals totals = client.stop();
    CHECK_MESSAGE(totals.unanswered == 0, to_text(totals));
    CHECK_MESSAGE(totals.strange == 0, to_text(totals));
    master.finish();
}

}  // namespace drover::test
