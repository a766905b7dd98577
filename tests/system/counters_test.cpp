// Counters of a running master as a reader of its own sees them: exact and forward at every moment, whatever
// dies or is reloaded.
#include "master/control/control_client.h"
#include "tests/support/busy_clients.h"
#include "tests/support/counter_watch.h"
#include "tests/support/held_connections.h"
#include "tests/support/master_under_test.h"

#include <csignal>
#include <random>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>

namespace drover::test {
namespace {

// Whatever happened: what clients were answered was counted and timed, once. Times are observed after the
// reply has left.
void check_exact(MasterUnderTest& master, const CounterReader& reader, const BusyClients::Totals& totals) {
    CHECK_MESSAGE(totals.nothing_lost(), to_text(totals));
    master.wait_until("all times",
                      [&] { return reader.sum("drover_http_request_seconds") == totals.replies; });
    CHECK(reader.sum("drover_http_requests_total") == totals.requests);
    CHECK(reader.sum("drover_http_responses_total") == totals.replies);
    CHECK(reader.sum("drover_worker_deaths_total") == 0);
}

}  // namespace

TEST_CASE(
    "a reader process sees counters go forward only, through kills and reloads, to what clients counted") {
    TestConfig config{.workers = 3,
                      .pool = "respawn = { delay = \"10ms\", burst = 1000 }\nreport_interval = \"10ms\"\n"};
    MasterUnderTest master(config);
    constexpr unsigned reads = sanitizers ? 10'000 : 100'000;
    constexpr int rounds = 30;
    ReaderProcess reader_process(master);
    const CounterReader reader = reader_of(master);
    std::uint64_t kills = 0;
    std::uint64_t reloads = 0;
    BusyClients::Totals totals;
    {
        BusyClients clients(master.http_port(), 32);
        std::minstd_rand random(11);
        const Deadline deadline(std::chrono::minutes(5));
        for (int round = 0; round < rounds || (reader_process.reads() < reads && !deadline.passed());
             ++round) {
            const std::uint64_t before = clients.replies();
            const std::vector<pid_t> pids = master.worker_pids();
            if (round % 3 == 0 && !pids.empty() && ::kill(pids[random() % pids.size()], SIGKILL) == 0)
                ++kills;
            config.body = "round " + std::to_string(round);
            config.master = round % 2 == 0 ? "reload = \"fresh\"\n" : "";
            master.write_config(config);
            if (master.control("reload").ok) ++reloads;
            master.wait_until("replies", [&] { return clients.replies() >= before + 50; });
        }
        totals = clients.stop();
    }
    // All of them while that went on.
    const unsigned reads_between = reader_process.reads();
    CHECK(reader_process.finish() == "");
    CHECK(reads_between >= reads);
    CHECK(kills >= 5);
    CHECK(reloads >= rounds / 2);
    // What a killed worker had read, or not yet, is not known to the clients.
    const std::uint64_t counted = reader.sum("drover_http_requests_total");
    CHECK(counted >= totals.replies);
    CHECK(counted <= totals.requests);
    // A reply counts when it has left: a worker that was killed just then had one that was not counted yet.
    const auto responses = [&] { return reader.sum("drover_http_responses_total"); };
    master.wait_until("responses", [&] { return responses() + kills >= totals.replies; });
    CHECK(responses() <= totals.requests);
    CHECK(value(reader, "drover_reloads_total{result=\"ok\"}") == reloads);
    CHECK(value(reader, "drover_worker_deaths_total{cause=\"signal\"}") >= 1);
    CHECK(value(reader, "drover_worker_deaths_total{cause=\"signal\"}") <= kills);
    master.wait_serving(3);
    master.finish();
}

TEST_CASE("nothing is killed: sums are exactly what clients counted, through hot and fresh reloads") {
    TestConfig config{.workers = 2};
    MasterUnderTest master(config);
    ReaderProcess reader_process(master);
    const CounterReader reader = reader_of(master);
    BusyClients clients(master.http_port(), 16);
    for (int round = 0; round < 12; ++round) {
        const std::uint64_t before = clients.replies();
        config.body = "round " + std::to_string(round);
        config.master = round % 3 == 0 ? "reload = \"fresh\"\n" : "";
        master.write_config(config);
        REQUIRE(master.control("reload").ok);
        master.wait_until("replies", [&] { return clients.replies() >= before + 50; });
    }
    const BusyClients::Totals totals = clients.stop();
    check_exact(master, reader, totals);
    CHECK(reader_process.finish() == "");
    CHECK(reader.sum("drover_connections_accepted_total") == 16);
    master.wait_until("the clients are gone", [&] { return reader.sum("drover_connections_active") == 0; });
    CHECK(reader.sum("drover_received_bytes_total") == reader.sum("drover_http_request_bytes_total"));
    CHECK(reader.sum("drover_sent_bytes_total") == reader.sum("drover_http_response_bytes_total"));
    CHECK(value(reader, "drover_reloads_total{result=\"ok\"}") == 12);
    master.finish();
}

TEST_CASE("sums and histograms stay exact when a pool grows, shrinks, and its workers are replaced") {
    MasterUnderTest master;
    ReaderProcess reader_process(master);
    const CounterReader reader = reader_of(master);
    BusyClients clients(master.http_port(), 16);
    const auto serve_on = [&] {
        const std::uint64_t before = clients.replies();
        const unsigned reads = reader_process.reads();
        master.wait_until("replies and reads", [&] {
            return clients.replies() >= before + 100 && reader_process.reads() >= reads + 10;
        });
    };
    for (int round = 0; round < 3; ++round) {
        for (const auto& [signal, workers] : {std::pair{SIGTTIN, 3U}, {SIGTTIN, 4U}, {SIGTTOU, 3U}}) {
            master.signal(signal);
            master.wait_serving(workers);
            serve_on();
        }
        for (const char* workers : {"6", "1", "2"}) {
            const CommandResult resized = master.cli({"workers", workers});
            CHECK_MESSAGE(resized.code() == 0, resized.errors);
            serve_on();
        }
        for (const char* worker : {"main/0", "main/1"}) {
            const CommandResult replaced = master.cli({"worker", "restart", worker});
            CHECK_MESSAGE(replaced.code() == 0, replaced.errors);
            serve_on();
        }
    }
    const BusyClients::Totals totals = clients.stop();
    check_exact(master, reader, totals);
    CHECK(reader_process.finish() == "");
    CHECK(reader.sum("drover_connections_accepted_total") == 16);
    CHECK(reader.sum("drover_connections_handed_over_total") > 0);
    master.wait_serving(2);
    master.finish();
}

TEST_CASE("a reader that dies is no reader that saw nothing wrong") {
    MasterUnderTest master;
    ReaderProcess reader_process(master);
    ::kill(reader_process.pid(), SIGKILL);
    CHECK(reader_process.finish() == " (the reader died of signal 9)");
    master.finish();
}

TEST_CASE("as much room for counters as there can be keeps no reload from being read") {
    TestConfig config{.master = "counters = 262144\n"};
    MasterUnderTest master(config);
    config.body = "second";
    master.write_config(config);
    const ControlReply reload = master.control("reload");
    CHECK_MESSAGE(reload.ok, reload.text);
    CHECK(reader_of(master).sum("drover_worker_starts_total") == 2);
    master.finish();
}

TEST_CASE("the table that the control socket hands out cannot be written") {
    MasterUnderTest master;
    const UniqueFd table = ask_for_counters(master.control_path()).table;
    CHECK((::fcntl(table.get(), F_GETFL) & O_ACCMODE) == O_RDONLY);
    CHECK((::fcntl(table.get(), F_GETFD) & FD_CLOEXEC) != 0);
    CHECK(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, table.get(), 0) == MAP_FAILED);
    CHECK(::write(table.get(), "x", 1) == -1);
    CHECK(::ftruncate(table.get(), 0) == -1);
    master.finish();
}

TEST_CASE("queues, starts and deaths are counted by the master, while all workers stand still") {
    MasterUnderTest master({.pool = "hang_timeout = \"off\"\nreport_interval = \"10ms\"\n"});
    const CounterReader reader = reader_of(master);
    const std::string listener =
        "{pool=\"main\",listener=\"127.0.0.1:" + std::to_string(master.http_port()) + "\"}";
    CHECK(value(reader, "drover_worker_starts_total") == 2);
    CHECK(reader.each_worker("drover_worker_generation").size() == 2);
    for (const char* gauge :
         {"drover_worker_resident_bytes", "drover_worker_open_fds", "drover_worker_generation"}) {
        for (const CounterReader::WorkerValue& worker : reader.each_worker(gauge)) {
            CAPTURE(gauge);
            CHECK(worker.pool == "main");
            CHECK(worker.value > 0);
        }
    }
    const std::vector<pid_t> workers = master.worker_pids();
    for (const pid_t pid : workers)
        REQUIRE(freeze(pid));
    std::vector<StreamClient> waiting;
    for (int i = 0; i < 10; ++i)
        waiting.push_back(StreamClient::connect_tcp(master.http_port()));
    const auto queue = [&] { return value(reader, "drover_listener_queue_connections" + listener); };
    const Deadline deadline;
    while (queue() != 10 && !deadline.passed())
        (void)master.status();
    CHECK(queue() == 10);
    CHECK(value(reader, "drover_listener_drops_total" + listener) == 0);
    for (const pid_t pid : workers)
        ::kill(pid, SIGKILL);
    master.wait_replaced(workers);
    CHECK(value(reader, "drover_worker_deaths_total{cause=\"signal\"}") == 2);
    CHECK(value(reader, "drover_worker_starts_total") == 4);
    master.finish();
}

TEST_CASE("connections that find a queue full are counted") {
    MasterUnderTest master({.workers = 1, .pool = "hang_timeout = \"off\"\n"});
    const CounterReader reader = reader_of(master);
    master.write_config_text([&] {
        std::string text = master.config_text({.workers = 1, .pool = "hang_timeout = \"off\"\n"});
        const std::string address = "127.0.0.1:" + std::to_string(master.http_port()) + "\"";
        return text.insert(text.find(address) + address.size(), "\nbacklog = 2");
    }());
    REQUIRE(master.control("reload").ok);
    const pid_t worker = master.worker_pids().front();
    REQUIRE(freeze(worker));
    std::vector<UniqueFd> sockets;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(master.http_port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < 12; ++i) {
        sockets.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        (void)::connect(sockets.back().get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    }
    const Deadline deadline;
    while (reader.sum("drover_listener_drops_total") == 0 && !deadline.passed())
        (void)master.status();
    CHECK(reader.sum("drover_listener_drops_total") > 0);
    CHECK(reader.sum("drover_listener_queue_connections") == 3);
    ::kill(worker, SIGCONT);
    sockets.clear();
    master.finish();
}

}  // namespace drover::test
