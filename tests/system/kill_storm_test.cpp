// Workers that are killed one after the other, under load: what is lost is what they held, and nothing else.
#include "tests/support/busy_clients.h"
#include "tests/support/counter_watch.h"
#include "tests/support/held_connections.h"
#include "tests/support/losses.h"
#include "tests/support/master_under_test.h"
#include "tests/support/proc.h"

#include <algorithm>
#include <random>
#include <set>

#include <doctest/doctest.h>

namespace drover::test {
namespace {

// Looks at the totals again and again: none may ever be less than it was.
class TotalsWatch {
  public:
    void look(const StatusView& view) {
        for (const auto& counter : view.counters) {
            // Labels come after the name.
            if (!counter.first.substr(0, counter.first.find('{')).ends_with("_total")) continue;
            ++looks_;
            if (counter.first.back() == '}') ++labelled_looks_;
            std::int64_t& before = before_[counter.first];
            CHECK_MESSAGE(counter.second >= before,
                          counter.first << " went from " << before << " back to " << counter.second);
            before = counter.second;
        }
    }

    // Of both sorts there were some.
    bool saw_all() const { return labelled_looks_ > 0 && looks_ > labelled_looks_; }

  private:
    std::map<std::string, std::int64_t> before_;
    std::uint64_t looks_ = 0;
    std::uint64_t labelled_looks_ = 0;
};

void wait_whole(MasterUnderTest& master, std::size_t workers, std::size_t fds) {
    master.wait_serving(workers, Deadline(std::chrono::seconds(30)));
    master.wait_until("no process but the workers, no descriptor lost", [&] {
        return children_of(master.pid()).size() == workers && count_fds_of(master.pid()) <= fds;
    });
    for (const pid_t child : children_of(master.pid()))
        CHECK(state_of(child) != 'Z');
    CHECK(count_fds_of(master.pid()) == fds);
}

// What was counted is what clients know of, but for at most what killed workers held: a request whose reply
// the client never got, or one that was answered and not yet timed.
void check_counts(MasterUnderTest& master, const BusyClients::Totals& totals, std::size_t held) {
    const CounterReader reader = reader_of(master);
    const auto is_near = [&](std::uint64_t counted) {
        return counted + held >= totals.replies && counted <= totals.replies + held;
    };
    const auto timed = [&] { return reader.sum("drover_http_request_seconds"); };
    // Times are observed after the reply has left.
    master.wait_until("all times", [&] { return is_near(timed()); });
    CHECK_MESSAGE(is_near(timed()), timed() << " timed, " << held << " held; " << to_text(totals));
    const std::uint64_t requests = reader.sum("drover_http_requests_total");
    const std::uint64_t responses = reader.sum("drover_http_responses_total");
    CHECK_MESSAGE(is_near(requests), requests << " requests, " << held << " held; " << to_text(totals));
    CHECK_MESSAGE(is_near(responses), responses << " responses, " << held << " held; " << to_text(totals));
}

void check_kill_storm(const std::string& balance) {
    const TestConfig config{.workers = 3,
                            .pool =
                                "respawn = { delay = \"10ms\", burst = 1000 }\n"
                                "report_interval = \"10ms\"\n",
                            .balance = balance};
    MasterUnderTest master(config);
    const std::size_t fds = count_fds_of(master.pid());
    BusyClients clients(master.http_port(), 64, "first");
    std::minstd_rand random(7);
    std::multiset<std::uint16_t> held;
    TotalsWatch totals_watch;
    for (int round = 0; round < 40; ++round) {
        const std::vector<pid_t> pids = master.worker_pids();
        if (!pids.empty()) held.merge(kill_frozen(pids[random() % pids.size()], master.http_port()));
        const std::uint64_t before = clients.replies();
        master.wait_until("replies", [&] {
            totals_watch.look(master.status());
            return clients.replies() >= before + 100;
        });
    }
    const BusyClients::Totals totals = clients.stop();
    check_losses(totals, held);
    check_counts(master, totals, held.size());
    wait_whole(master, 3, fds);
    totals_watch.look(master.status());
    CHECK(totals_watch.saw_all());
    master.finish();
}

}  // namespace

TEST_CASE("a worker killed again and again: only what it held is lost, nobody is refused") {
    check_kill_storm("reuseport");
    check_kill_storm("shared");
}

TEST_CASE("workers that die until they back off: those who connect meanwhile are answered at last") {
    MasterUnderTest master({.workers = 2, .pool = "report_interval = \"10ms\"\n"});
    const std::size_t fds = count_fds_of(master.pid());
    BusyClients clients(master.http_port(), 16, "first");
    std::multiset<std::uint16_t> held;
    TotalsWatch totals_watch;
    bool backed_off = false;
    const Deadline deadline(std::chrono::seconds(30));
    while (!backed_off && !deadline.passed()) {
        const StatusView view = master.status();
        totals_watch.look(view);
        backed_off = std::ranges::any_of(
            view.workers, [](const WorkerView& worker) { return worker.state == "backing_off"; });
        for (const pid_t pid : view.pids())
            held.merge(kill_frozen(pid, master.http_port()));
    }
    CHECK(backed_off);
    const std::uint64_t before = clients.replies();
    master.wait_until("replies", [&] { return clients.replies() >= before + 100; });
    check_losses(clients.stop(), held);
    wait_whole(master, 2, fds);
    master.finish();
}

TEST_CASE("the first worker that comes back serves those who wait in the queues of all slots") {
    for (const char* balance : {"reuseport", "shared"}) {
        MasterUnderTest master({.workers = 4,
                                .pool = "respawn = { burst = 1, delay = \"30s\", max_delay = \"30s\" }\n",
                                .balance = balance});
        for (int i = 0; i < 2; ++i) {
            const std::vector<pid_t> victims = master.worker_pids();
            for (const pid_t victim : victims)
                freeze(victim);
            for (const pid_t victim : victims)
                kill(victim, SIGKILL);
            if (i == 0) master.wait_replaced(victims);
        }
        std::vector<HttpClient> clients;
        for (int i = 0; i < 40; ++i) {
            clients.emplace_back(master.http_port());
            clients.back().stream().send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        }
        for (HttpClient& client : clients)
            CHECK(client.read_reply().body == "first");
        const std::vector<WorkerView> workers = master.status().workers;
        CHECK(std::ranges::count(workers, "backing_off", &WorkerView::state) == 3);
        master.finish();
    }
}

}  // namespace drover::test
