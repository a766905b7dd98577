// Deaths and signals in the middle of a hand-over. Where the middle is, is no matter of luck: the successor
// is frozen before it is told to serve, so that the old worker sends and gets no acknowledgement.
#include "tests/support/busy_clients.h"
#include "tests/support/held_connections.h"
#include "tests/support/long_clients.h"
#include "tests/support/proc.h"
#include "tests/support/skipped.h"
#include "tests/support/trouble_program.h"

#include <set>

#include <doctest/doctest.h>

namespace drover::test {
namespace {

// More than a giver sends without an acknowledgement.
constexpr std::size_t idle_count = 1800;
constexpr unsigned busy_count = 32;

// A service of two slots in mid hand-over: one of the new workers stops itself while it starts; the other is
// frozen when it is ready and does not serve yet. Then the first goes on, and all are told to serve and to
// hand over.
struct MidHandOver {
    TestConfig config;
    MasterUnderTest master;
    IdleClients idle;
    BusyClients busy;
    pid_t giver = 0;      // holds its connections and cannot get rid of them
    pid_t successor = 0;  // frozen

    explicit MidHandOver(const std::string& balance, const std::string& drain_timeout = "30s",
                         const std::string& pool = "")
        : config{.body = "old",
                 .drain_timeout = drain_timeout,
                 .modules = "\"http\", \"echo\", \"trouble\"",
                 .master = "reload = \"fresh\"\n",
                 .pool = pool,
                 .balance = balance},
          master(config, trouble_program),
          idle(master.http_port(), 0),
          busy(master.http_port(), busy_count) {
        const std::vector<WorkerView> old = master.status().workers;
        connect_idle(old.at(0).pid, old.at(1).pid);
        connect_idle(old.at(1).pid, old.at(0).pid);
        CHECK(idle.ask("old") == idle_count);
        const std::string once = master.folder().file("once");
        write_file(once, "");
        config.body = "new";
        config.rest = "\n[module.trouble]\nin_start = \"stop " + once + "\"\n";
        master.write_config(config);
        ControlCall reload = master.start_control("reload");
        pid_t starting = 0;
        master.wait_until("one worker that has stopped and one that is ready", [&] {
            starting = 0;
            successor = 0;
            for (const WorkerView& worker : master.status().workers) {
                if (worker.generation != 2) continue;
                if (state_of(worker.pid) == 'T') starting = worker.pid;
                if (is_ready(worker.pid)) {
                    successor = worker.pid;
                    giver = old.at(old.front().slot == worker.slot ? 0 : 1).pid;
                }
            }
            return starting != 0 && successor != 0;
        });
        REQUIRE(freeze(successor));
        kill(starting, SIGCONT);
        const ControlReply reply = reload.wait();
        REQUIRE_MESSAGE(reply.ok, reply.text);
    }

    // The service is whole again: two workers, and nothing older.
    void wait_whole() {
        master.wait_serving(2, Deadline(std::chrono::seconds(30)));
        master.wait_until("no process but the workers",
                          [&] { return children_of(master.pid()).size() == 2; });
    }
    void check_nothing_lost() {
        wait_whole();
        const BusyClients::Totals totals = busy.stop();
        CHECK_MESSAGE(totals.nothing_lost(), to_text(totals));
        CHECK(idle.ask("new") == idle_count);
    }

  private:
    // Half of them, when the other cannot take all.
    void connect_idle(pid_t worker, pid_t other) {
        REQUIRE(freeze(other));
        idle.add(idle_count / 2);
        master.wait_until("clients of a worker",
                          [&] { return clients_held_by(worker, master.http_port()).size() > busy_count; });
        kill(other, SIGCONT);
    }

    bool is_ready(pid_t pid) const {
        return master.output().find("(pid " + std::to_string(pid) + ") is ready") != std::string::npos;
    }
};

}  // namespace

TEST_CASE("a successor that is killed in mid hand-over: nothing is lost, the next one takes over") {
    if (lacks(raise_descriptor_limit(4 * idle_count), "more descriptors")) return;
    for (const char* balance : {"reuseport", "shared"}) {
        MidHandOver middle(balance);
        CHECK(clients_held_by(middle.giver, middle.master.http_port()).size() > 0);
        kill(middle.successor, SIGKILL);
        middle.check_nothing_lost();
        middle.master.finish();
    }
}

TEST_CASE("an old worker that is killed in mid hand-over takes with it only what it still held") {
    if (lacks(raise_descriptor_limit(4 * idle_count), "more descriptors")) return;
    for (const char* balance : {"reuseport", "shared"}) {
        MidHandOver middle(balance);
        const std::set<std::uint16_t> held = kill_frozen(middle.giver, middle.master.http_port());
        CHECK(held.size() > 0);
        kill(middle.successor, SIGCONT);
        middle.wait_whole();
        const std::uint64_t before = middle.busy.replies();
        middle.master.wait_until("replies", [&] { return middle.busy.replies() >= before + 1000; });
        const BusyClients::Totals totals = middle.busy.stop();
        CHECK_MESSAGE(totals.not_connected + totals.wrong == 0, to_text(totals));
        for (const std::uint16_t port : totals.lost_ports)
            CHECK_MESSAGE(held.contains(port), "the killed worker did not hold the client's port " << port);
        CHECK(middle.idle.ask("new") + held.size() >= idle_count);
        middle.master.finish();
    }
}

TEST_CASE("a successor that stands still: the giver leaves in time, what it had sent goes on") {
    if (lacks(raise_descriptor_limit(4 * idle_count), "more descriptors")) return;
    constexpr std::size_t sent = 3 * 250;  // and a few more
    MidHandOver middle("reuseport", "1s", "handover_timeout = \"4s\"\n");
    const std::size_t held = clients_held_by(middle.giver, middle.master.http_port()).size();
    CHECK(held > sent);
    middle.master.wait_output("have not been taken over; they drain");
    middle.master.wait_until("the giver to leave", [&] { return state_of(middle.giver) == '-'; });
    kill(middle.successor, SIGCONT);
    middle.wait_whole();
    middle.busy.stop();
    CHECK(middle.idle.ask("new") + held >= idle_count + sent);
    middle.master.finish();
}

TEST_CASE("a storm of signals in mid hand-over: nothing is lost, and the states end right") {
    if (lacks(raise_descriptor_limit(4 * idle_count), "more descriptors")) return;
    MidHandOver middle("reuseport");
    for (int i = 0; i < 60; ++i) {
        for (const int signal : {SIGHUP, SIGUSR1, SIGCHLD, SIGTTIN, SIGTTOU})
            middle.master.signal(signal);
        if (i == 30) kill(middle.successor, SIGCONT);
    }
    CHECK(middle.master.control("reload").ok);
    middle.check_nothing_lost();
    middle.master.finish();
}

TEST_CASE("TERM in mid hand-over ends cleanly") {
    if (lacks(raise_descriptor_limit(4 * idle_count), "more descriptors")) return;
    MidHandOver middle("reuseport");
    middle.master.finish();
    const BusyClients::Totals totals = middle.busy.stop();
    CHECK_MESSAGE(totals.unanswered == 0, to_text(totals));
}

}  // namespace drover::test
