// What those who are connected notice of reloads.
#include "tests/bench/reload/rows.h"
#include "tests/bench/reload/servers.h"
#include "tests/support/busy_clients.h"
#include "tests/support/http_load.h"
#include "tests/support/long_clients.h"
#include "tests/support/proc.h"
#include "tests/support/timing.h"

#include <cstdio>

#include <poll.h>

namespace drover::test {
namespace {

const std::vector<ServerOptions> four_ways = {
    {.balance = "reuseport"},
    {.balance = "shared"},
    {.balance = "reuseport", .fresh = true},
    {.balance = "shared", .fresh = true},
};

void wait_for(const std::function<bool()>& done) {
    const Deadline deadline(std::chrono::seconds(30));
    while (!done()) {
        if (deadline.passed()) throw std::runtime_error("the clients get no answers");
        ::poll(nullptr, 0, 1);
    }
}

void busy_row(const Table& table, const ServerOptions& options, int reloads) {
    Server server(options);
    BusyClients clients(server.port(), 64, "round ");
    for (int i = 0; i < reloads; ++i) {
        const std::uint64_t before = clients.replies();
        wait_for([&] { return clients.replies() > before + 640; });
        server.reload();
    }
    const BusyClients::Totals totals = clients.stop();
    table.row(server.name(),
              {std::to_string(reloads), std::to_string(totals.requests), std::to_string(totals.unanswered),
               std::to_string(totals.closed), std::to_string(totals.not_connected + totals.wrong),
               std::to_string(totals.longest_wait_ms) + " ms"});
}

// "handed over 10000 connections in 43 ms", as the worker that gave them reports: first message to last
// acknowledgement.
std::string time_in_log(const std::string& log) {
    const std::size_t line = log.find("handed over ");
    if (line == std::string::npos) return "-";
    const std::size_t in = log.find(" in ", line);
    const std::size_t end = log.find('\n', line);
    return in == std::string::npos || in > end ? "-" : log.substr(in + 4, end - in - 4);
}

void idle_row(const Table& table, ServerOptions options, std::size_t count) {
    options.workers = 1;
    Server server(options);
    IdleClients clients(server.port(), count);
    if (clients.ask(server.body()) != count) throw std::runtime_error("not all were answered at first");
    const UniqueFd old_worker = open_pidfd(server.workers().front());
    const auto start = BenchClock::now();
    server.reload();
    const double verdict = since_ms(start);
    const bool gone = wait_gone(old_worker, Deadline(std::chrono::seconds(60)));
    const double all_gone = since_ms(start);
    const std::size_t answered = clients.ask(server.body());
    table.row(server.name(), {std::to_string(count), std::to_string(answered), in_ms(verdict) + " ms",
                              (gone ? in_ms(all_gone) : "over 60000") + " ms", time_in_log(server.log())});
}

}  // namespace

void show_busy() {
    const Table table("64 busy keep-alive connections, 2 workers; goal: 0 unanswered, 0 closed",
                      {"reloads", "requests", "unanswered", "closed", "failed", "longest wait"});
    for (const ServerOptions& options : four_ways)
        busy_row(table, options, 200);
    busy_row(table, {.kind = Kind::nginx}, 40);
}

void show_idle() {
    constexpr std::size_t count = 10'000;
    if (!raise_descriptor_limit(2 * count)) {
        std::printf("idle connections: skipped, %zu descriptors cannot be had\n\n", 2 * count);
        return;
    }
    const Table table(
        "10,000 idle connections on one worker, one fresh reload; goal: all usable, handed over in 100 ms",
        {"open", "usable", "verdict", "old gone", "handed over in"});
    idle_row(table, {.balance = "reuseport", .fresh = true}, count);
    idle_row(table, {.balance = "shared", .fresh = true}, count);
    idle_row(table, {.kind = Kind::nginx}, count);
}

void show_stream() {
    const Table table(
        "8 echo streams, unread and unsent bytes at all times, 50 fresh reloads; goal: all, once",
        {"reloads", "MB sent", "MB back", "wrong", "cut"});
    for (const char* balance : {"reuseport", "shared"}) {
        Server server({.balance = balance, .fresh = true});
        EchoStreams streams(server.echo_port(), 8);
        for (int i = 0; i < 50; ++i) {
            const std::uint64_t before = streams.received();
            wait_for([&] { return streams.received() > before + 4'000'000; });
            server.reload();
        }
        const EchoStreams::Totals totals = streams.finish();
        const bool all = totals.sent == totals.received;
        table.row(server.name(), {"50", std::to_string(totals.sent / 1'000'000),
                                  std::to_string(totals.received / 1'000'000) + (all ? "" : " (!)"),
                                  std::to_string(totals.wrong), std::to_string(totals.cut)});
    }
}

void show_resize() {
    const Table table("new connections all the time, workers 4, 1, 8, 1, ... 30 times; goal: 0 failed",
                      {"changes", "connections", "failed"});
    const std::vector<ServerOptions> servers = {
        {.workers = 4}, {.workers = 4, .balance = "shared"}, {.kind = Kind::nginx, .workers = 4}};
    for (const ServerOptions& options : servers) {
        Server server(options);
        HttpLoad load(server.port());
        constexpr unsigned sizes[] = {1, 8, 1, 4};
        for (unsigned i = 0; i < 30; ++i) {
            const std::uint64_t before = load.replies();
            wait_for([&] { return load.replies() > before + 1000; });
            server.reload(sizes[i % 4]);
        }
        load.stop();
        table.row(server.name(),
                  {"30", std::to_string(load.replies() + load.failures()), std::to_string(load.failures())});
    }
}

}  // namespace drover::test
