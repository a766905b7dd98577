#include "master/master_counters.h"

#include "conf/counters.h"
#include "core/base/system_error.h"
#include "core/net/address.h"
#include "tests/support/run_until.h"
#include "tests/support/udp_client.h"

#include <array>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>

using namespace drover;
using namespace drover::test;

namespace {

const ListenerName name{"main", "127.0.0.1:0"};
const ListenerName udp_name{"main", "udp:127.0.0.1:0"};
const ListenerName unix_name{"main", "unix:@drover-test-queue"};

struct Counting {
    Counting() { table.declare(1, core_counters({name, udp_name, unix_name})); }

    std::uint64_t value(const std::string& text) const {
        for (const CounterReader::Sum& sum : reader.sums())
            if (sum.text() == text) return sum.value;
        return 4711;
    }

    EventLoop loop;
    Log log{LogIdentity{.role = "master", .pool = {}}};
    CounterTable table;
    CounterReader reader{table.read_only_fd(), table.row_source()};
    MasterCounters counters{loop, log, table, 1};
};

// Connections that nobody accepts; no answer is waited for.
class Crowd {
  public:
    explicit Crowd(const Listener& listener) : port_(listener.address().port()) {}
    void connect(int count) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port_);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        for (int i = 0; i < count; ++i) {
            clients_.emplace_back(
                check_call(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket"));
            (void)::connect(clients_.back().get(), reinterpret_cast<const sockaddr*>(&address),
                            sizeof address);
        }
    }

  private:
    std::uint16_t port_;
    std::vector<UniqueFd> clients_;
};

std::uint32_t drops_of(int fd) {
    std::uint32_t info[SK_MEMINFO_VARS] = {};
    socklen_t size = sizeof info;
    check_call(::getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &size), "getsockopt");
    return info[SK_MEMINFO_DROPS];
}

}  // namespace

TEST_CASE("master_counters: reloads by result, starts, deaths by cause, the generation") {
    Counting counting;
    counting.counters.count_start();  // nothing counts yet
    counting.counters.follow(1, {});
    counting.counters.count_reload(ReloadResult::ok);
    counting.counters.count_reload(ReloadResult::none);
    counting.counters.count_reload(ReloadResult::rolled_back);
    counting.counters.count_start();
    counting.counters.count_death(DeathCause::memory_limit);
    CHECK(counting.value("drover_reloads_total{result=\"ok\"}") == 1);
    CHECK(counting.value("drover_reloads_total{result=\"refused\"}") == 0);
    CHECK(counting.value("drover_reloads_total{result=\"rolled_back\"}") == 1);
    CHECK(counting.value("drover_worker_starts_total") == 1);
    CHECK(counting.value("drover_worker_deaths_total{cause=\"memory_limit\"}") == 1);
    CHECK(counting.value("drover_worker_deaths_total{cause=\"exit\"}") == 0);
    CHECK(counting.value("drover_generation") == 1);
    // The next generation has the same columns: what was counted stays.
    counting.table.declare(2, core_counters({}));
    counting.table.forget(1);
    counting.counters.follow(2, {});
    counting.counters.count_start();
    CHECK(counting.value("drover_worker_starts_total") == 2);
    CHECK(counting.value("drover_generation") == 2);
    // The master's row is no worker's.
    CHECK(counting.reader.each_worker("drover_generation").empty());
}

TEST_CASE("master_counters: a listener's queue is as long as the kernel says") {
    Counting counting;
    const auto listener =
        std::make_shared<Listener>(Listener::bind(Address::parse("127.0.0.1:0", "/"), {.backlog = 2}, 1));
    listener->listen();
    counting.counters.follow(1, {{name.pool, name.address, listener}});
    const std::string labels = "{pool=\"main\",listener=\"127.0.0.1:0\"}";
    Crowd crowd(*listener);
    crowd.connect(2);
    CHECK(run_until(counting.loop,
                    [&] { return counting.value("drover_listener_queue_connections" + labels) == 2; }));
    CHECK(counting.value("drover_listener_drops_total" + labels) == 0);
    crowd.connect(4);
    CHECK(
        run_until(counting.loop, [&] { return counting.value("drover_listener_drops_total" + labels) > 0; }));
    // A listener that is gone keeps its count and has no queue.
    counting.counters.follow(1, {});
    CHECK(counting.value("drover_listener_queue_connections" + labels) == 0);
    CHECK(counting.value("drover_listener_drops_total" + labels) > 0);
}

TEST_CASE("master_counters: a slot's new socket begins at no drops, however many its last one had") {
    Counting counting;
    const auto listener =
        std::make_shared<Listener>(Listener::bind(Address::parse("127.0.0.1:0", "/"), {.backlog = 1}, 2));
    listener->listen();
    counting.counters.follow(1, {{name.pool, name.address, listener}});
    const std::string drops = "drover_listener_drops_total{pool=\"main\",listener=\"127.0.0.1:0\"}";
    const auto drop_more_than = [&](std::uint64_t least) {
        Crowd crowd(*listener);
        listener->steer(std::array{1U});
        return run_until(counting.loop, [&] {
            crowd.connect(8);
            return drops_of(listener->socket_for(1)) > least;
        });
    };
    REQUIRE(drop_more_than(0));
    std::uint64_t counted = 0;
    REQUIRE(run_until(counting.loop, [&] {
        counted = counting.value(drops);
        return counted > 0 && counted == drops_of(listener->socket_for(1));
    }));
    listener->steer({});
    listener->resize(1);
    listener->resize(2);
    listener->listen();
    REQUIRE(drop_more_than(counted));
    CHECK(run_until(counting.loop,
                    [&] { return counting.value(drops) == counted + drops_of(listener->socket_for(1)); }));
}

TEST_CASE("master_counters: a unix listener's queue, too") {
    Counting counting;
    const auto listener =
        std::make_shared<Listener>(Listener::bind(Address::parse(unix_name.address, "/"), {.backlog = 8}, 1));
    listener->listen();
    counting.counters.follow(1, {{unix_name.pool, unix_name.address, listener}});
    const Address& address = listener->address();
    const UniqueFd client(check_call(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
    check_call(::connect(client.get(), address.data(), address.size()), "connect");
    const std::string labels = "{pool=\"main\",listener=\"" + unix_name.address + "\"}";
    CHECK(run_until(counting.loop,
                    [&] { return counting.value("drover_listener_queue_connections" + labels) == 1; }));
}

TEST_CASE("master_counters: the memory of datagrams that wait, and those that found no room") {
    Counting counting;
    const auto listener = std::make_shared<Listener>(
        Listener::bind(Address::parse("udp:127.0.0.1:0"), {.receive_buffer = 8192}, 1));
    listener->listen();
    counting.counters.follow(1, {{udp_name.pool, udp_name.address, listener}});
    const std::string labels = "{pool=\"main\",listener=\"udp:127.0.0.1:0\"}";
    const UdpClient client(listener->address());
    constexpr std::uint64_t sent = 100;
    for (std::uint64_t i = 0; i < sent; ++i)
        REQUIRE(client.send(std::string(500, 'x')));
    REQUIRE(run_until(counting.loop,
                      [&] { return counting.value("drover_listener_datagram_drops_total" + labels) > 0; }));
    CHECK(counting.value("drover_listener_queue_bytes" + labels) >= 500);
    std::uint64_t received = 0;
    char byte = 0;
    while (::recv(listener->socket_for(0), &byte, 1, 0) >= 0)
        ++received;
    CHECK(counting.value("drover_listener_datagram_drops_total" + labels) == sent - received);
    CHECK(run_until(counting.loop,
                    [&] { return counting.value("drover_listener_queue_bytes" + labels) == 0; }));
}
