// What reloads and deaths do to the processes: kills, memory, many workers.
#include "tests/bench/reload/rows.h"
#include "tests/bench/reload/servers.h"
#include "tests/support/busy_clients.h"
#include "tests/support/held_connections.h"
#include "tests/support/long_clients.h"
#include "tests/support/proc.h"
#include "tests/support/timing.h"
#include "tests/support/worker_count.h"

#include <algorithm>
#include <random>
#include <set>
#include <thread>

#include <poll.h>

namespace drover::test {
namespace {

constexpr std::chrono::milliseconds kill_interval{100};

std::uint64_t losses_of_others(const BusyClients::Totals& totals, std::multiset<std::uint16_t> held) {
    std::uint64_t others = 0;
    for (const std::uint16_t port : totals.lost_ports) {
        const auto found = held.find(port);
        if (found == held.end()) {
            ++others;
        } else {
            held.erase(found);
        }
    }
    return others;
}

// Totals that went back since the last look.
std::uint64_t gone_back(const StatusView& view, std::map<std::string, std::int64_t>& before) {
    std::uint64_t count = 0;
    for (const auto& [name, value] : view.counters) {
        if (name.ends_with("_total") && value < before[name]) ++count;
        before[name] = value;
    }
    return count;
}

// Kills random workers (or all at once) at an interval and shows what that did.
void kill_row(const Table& table, const std::string& note, const ServerOptions& options, bool all_at_once,
              std::chrono::milliseconds interval, std::chrono::seconds time) {
    Server server(options);
    const std::size_t fds = count_fds_of(server.pid());
    BusyClients clients(server.port(), 64, "round ");
    std::minstd_rand random(11);
    std::multiset<std::uint16_t> held;
    std::map<std::string, std::int64_t> totals_before;
    std::uint64_t backwards = 0;
    unsigned kills = 0;
    const auto start = BenchClock::now();
    for (auto next = start + interval; next < start + time; next += interval) {
        std::this_thread::sleep_until(next);
        std::vector<pid_t> victims = server.workers();
        if (victims.empty()) continue;
        if (!all_at_once) victims = {victims[random() % victims.size()]};
        for (const pid_t victim : victims) {
            held.merge(kill_frozen(victim, server.port()));
            ++kills;
        }
        if (server.is_drover()) backwards += gone_back(server.status(), totals_before);
    }
    const std::uint64_t before = clients.replies();
    const Deadline answered(std::chrono::seconds(10));
    while (clients.replies() < before + 1000 && !answered.passed())
        ::poll(nullptr, 0, 1);
    const BusyClients::Totals totals = clients.stop();
    server.wait_workers(options.workers);
    const auto zombies =
        std::ranges::count_if(children_of(server.pid()), [](pid_t pid) { return state_of(pid) == 'Z'; });
    const auto more_fds =
        static_cast<std::ptrdiff_t>(count_fds_of(server.pid())) - static_cast<std::ptrdiff_t>(fds);
    table.row((server.is_drover() ? "drover, " + options.balance : "nginx") + note,
              {std::to_string(kills), std::to_string(totals.requests), std::to_string(totals.unanswered),
               std::to_string(losses_of_others(totals, held)), std::to_string(totals.not_connected),
               std::to_string(totals.longest_wait_ms) + " ms", std::to_string(backwards),
               std::to_string(zombies), std::to_string(more_fds)});
}

// A worker forgets its start a second after it.
constexpr int settled = 1500;  // ms

std::string in_kb(std::size_t size) {
    return std::to_string(size) + " kB";
}

// Reloads, each after `before_reload`, while clients stay connected. The first one is for what a process does
// once.
void memory_row(const Table& table, const std::string& note, Server& server, int reloads,
                const std::function<void()>& before_reload, const std::function<std::size_t()>& usable) {
    server.reload();
    server.wait_workers(2);
    ::poll(nullptr, 0, settled);
    const std::size_t before = server.pss_kb();
    WorkerCount seen(server.pid());
    for (int i = 0; i < reloads; ++i) {
        before_reload();
        server.reload();
    }
    const std::size_t most = seen.stop();
    ::poll(nullptr, 0, settled);
    const std::size_t left = server.workers().size();
    const std::size_t after = server.pss_kb();
    table.row((server.is_drover() ? "drover" : "nginx") + note,
              {std::to_string(reloads), std::to_string(most), std::to_string(left), in_kb(before),
               in_kb(after), std::to_string(usable())});
}

void scale_row(const Table& table, const ServerOptions& options) {
    constexpr int reloads = 5;
    Server server(options);
    std::vector<double> verdicts;
    std::vector<double> in_place;
    const double cpu = server.cpu_ms();
    for (int i = 0; i < reloads; ++i) {
        const std::vector<pid_t> old_workers = server.workers();
        const auto start = BenchClock::now();
        server.reload();
        verdicts.push_back(since_ms(start));
        if (options.fresh || !server.is_drover()) {
            for (const pid_t worker : old_workers)
                wait_gone(open_pidfd(worker), Deadline(std::chrono::seconds(60)));
            server.wait_workers(options.workers);
        }
        in_place.push_back(since_ms(start));
    }
    const double cpu_each = (server.cpu_ms() - cpu) / reloads;
    const std::size_t right_after = server.pss_kb();
    ::poll(nullptr, 0, settled);
    table.row(server.name(),
              {in_ms(median(verdicts)) + " ms", in_ms(median(in_place)) + " ms", in_ms(cpu_each) + " ms",
               in_kb(pss_kb_of(server.pid())), in_kb(right_after), in_kb(server.pss_kb())});
}

}  // namespace

void show_kills() {
    const Table table(
        "64 busy connections, 4 workers, kill -9 of a random one every 100 ms, of all every 500 ms;\n"
        "goal: lost only what the killed held, nobody refused, no total goes back, no zombie, no descriptor",
        {"kills", "requests", "lost", "of others", "refused", "longest", "totals back", "zombies",
         "more fds"});
    const std::string many = "respawn = { delay = \"10ms\", burst = 1000 }\n";
    const std::chrono::seconds time(30);
    kill_row(table, ", one", {.workers = 4, .balance = "reuseport", .pool = many}, false, kill_interval,
             time);
    kill_row(table, ", one", {.workers = 4, .balance = "shared", .pool = many}, false, kill_interval, time);
    kill_row(table, ", one, back-off", {.workers = 4}, false, kill_interval, time);
    kill_row(table, ", all, back-off", {.workers = 4}, true, 5 * kill_interval, time);
    kill_row(table, ", one", {.kind = Kind::nginx, .workers = 4}, false, kill_interval, time);
}

void show_memory() {
    const Table table(
        "reloads with 1,000 long connections, and with 100 slow ones, 10 more for each;\n"
        "goal: never above 4 workers, 2 a second after, memory as before within 1 MB",
        {"reloads", "most", "after 1.5s", "PSS before", "PSS after", "usable"});
    for (const Kind kind : {Kind::drover, Kind::nginx}) {
        Server server({.kind = kind, .fresh = true});
        IdleClients clients(server.port(), 1000);
        if (clients.ask(server.body()) != 1000) throw std::runtime_error("not all were answered at first");
        memory_row(
            table, ", 1,000 long", server, 100, [] {}, [&] { return clients.ask(server.body()); });
    }
    for (const Kind kind : {Kind::drover, Kind::nginx}) {
        Server server({.kind = kind, .fresh = true});
        SlowClients clients(server.port());
        memory_row(
            table, ", 100 slow", server, 10, [&] { clients.add(10); }, [&] { return clients.finish(); });
    }
}

void show_scale() {
    const Table table("200 workers, median of 5 reloads; goal: hot 200 ms, fresh 2 s, 250 MB",
                      {"verdict", "in place", "master CPU", "its PSS", "PSS of all", "1.5s after"});
    const ServerOptions options{.workers = 200};
    ServerOptions fresh = options;
    fresh.fresh = true;
    ServerOptions nginx = options;
    nginx.kind = Kind::nginx;
    scale_row(table, options);
    scale_row(table, fresh);
    scale_row(table, nginx);
}

}  // namespace drover::test
