// Counters of a running master as a reader of its own sees them: exact and forward at every moment, whatever
// dies or is reloaded.
#include "core/counter_reader.h"
#include "master/control_client.h"
#include "tests/support/busy_clients.h"
#include "tests/support/held_connections.h"
#include "tests/support/master_under_test.h"

#include <algorithm>
#include <csignal>
#include <functional>
#include <map>
#include <random>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/wait.h>

namespace drover::test {
namespace {

using Sum = CounterReader::Sum;

// Looks at every column and keeps the first that went back.
class ForwardCheck {
  public:
    void look(const CounterReader& reader) {
        for (const Sum& sum : reader.sums()) {
            if (sum.kind == CounterKind::gauge) continue;
            std::vector<std::uint64_t> values{sum.value, sum.sum};
            values.insert(values.end(), sum.buckets.begin(), sum.buckets.end());
            std::vector<std::uint64_t>& before = before_[sum.text()];
            before.resize(values.size());
            for (std::size_t i = 0; i < values.size(); ++i) {
                if (values[i] < before[i] && failure_.empty()) {
                    failure_ = sum.text() + " went from " + std::to_string(before[i]) + " back to " +
                               std::to_string(values[i]);
                }
            }
            before = std::move(values);
        }
    }
    const std::string& failure() const { return failure_; }

  private:
    std::map<std::string, std::vector<std::uint64_t>> before_;
    std::string failure_;
};

// A process that maps the table and reads it again and again, at least so many times and until it is told to
// stop. What went wrong is its last word.
class ReaderProcess {
  public:
    ReaderProcess(const MasterUnderTest& master, unsigned reads) {
        const UniqueFd table = ask_for_counters(master.control_path());
        int stop[2];
        int said[2];
        REQUIRE(::pipe2(stop, O_CLOEXEC | O_NONBLOCK) == 0);
        REQUIRE(::pipe2(said, O_CLOEXEC) == 0);
        pid_ = ::fork();
        REQUIRE(pid_ >= 0);
        if (pid_ == 0) {
            ::close(stop[1]);
            const std::string text = read(table.get(), stop[0], reads);
            const bool told = ::write(said[1], text.data(), text.size()) == static_cast<ssize_t>(text.size());
            ::_exit(told ? 0 : 1);
        }
        ::close(stop[0]);
        ::close(said[1]);
        stop_.reset(stop[1]);
        said_.reset(said[0]);
    }
    ~ReaderProcess() {
        if (pid_ > 0) finish();
    }
    ReaderProcess(const ReaderProcess&) = delete;
    ReaderProcess& operator=(const ReaderProcess&) = delete;

    // "100000 reads", and what went wrong.
    std::string finish() {
        stop_.reset();
        char text[512];
        const ssize_t size = ::read(said_.get(), text, sizeof text);
        ::waitpid(std::exchange(pid_, 0), nullptr, 0);
        return {text, static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
    }

  private:
    static std::string read(int table, int stop, unsigned reads) {
        try {
            const CounterReader reader(table);
            ForwardCheck check;
            unsigned count = 0;
            const auto told = [&] {
                char byte = 0;
                return ::read(stop, &byte, 1) == 0;
            };
            for (; count < reads || !told(); ++count)
                check.look(reader);
            return check.failure().empty() ? "" : check.failure();
        } catch (const std::exception& failure) {
            return failure.what();
        }
    }

    pid_t pid_ = -1;
    UniqueFd stop_;
    UniqueFd said_;
};

CounterReader reader_of(const MasterUnderTest& master) {
    return CounterReader(ask_for_counters(master.control_path()).get());
}

std::uint64_t value(const CounterReader& reader, const std::string& text) {
    for (const Sum& sum : reader.sums())
        if (sum.text() == text) return sum.value;
    return 0;
}

struct Tally {
    ReservedPort port;
    TestConfig config(const std::string& names, const std::string& master = "") const {
        return {.modules = "\"http\", \"echo\", \"tally\"",
                .master = master,
                .pool = "report_interval = \"10ms\"\n",
                .rest = "[[pool.main.listen]]\naddress = \"" + port.address() +
                        "\"\nmodule = \"tally\"\n[module.tally]\nnames = [" + names + "]\n"};
    }
    std::string count(const std::string& name, unsigned number = 7) const {
        StreamClient client = StreamClient::connect_tcp(port.number());
        client.send(name + " " + std::to_string(number) + "\n");
        return client.read_until("\n");
    }
};

const MasterUnderTest::Start with_tally{.program = DROVER_TROUBLE_PROGRAM};

}  // namespace

TEST_CASE(
    "a reader process sees counters go forward only, through kills and reloads, to what clients counted") {
    TestConfig config{.workers = 3,
                      .pool = "respawn = { delay = \"10ms\", burst = 1000 }\nreport_interval = \"10ms\"\n"};
    MasterUnderTest master(config);
    constexpr unsigned reads = sanitizers ? 10'000 : 100'000;
    ReaderProcess reader_process(master, reads);
    const CounterReader reader = reader_of(master);
    std::uint64_t kills = 0;
    std::uint64_t reloads = 0;
    BusyClients::Totals totals;
    {
        BusyClients clients(master.http_port(), 32);
        std::minstd_rand random(11);
        for (int round = 0; round < 30; ++round) {
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
    CHECK(kills > 0);
    CHECK(reloads > 0);
    CHECK(reader_process.finish() == "");
    // What a killed worker had read, or not yet, is not known to the clients.
    const std::uint64_t counted = reader.sum("drover_http_requests_total");
    CHECK(counted >= totals.replies);
    CHECK(counted <= totals.requests);
    CHECK(reader.sum("drover_http_responses_2xx_total") >= totals.replies);
    CHECK(value(reader, "drover_reloads_total{result=\"ok\"}") == reloads);
    CHECK(value(reader, "drover_worker_deaths_total{cause=\"signal\"}") >= 1);
    CHECK(value(reader, "drover_worker_deaths_total{cause=\"signal\"}") <= kills);
    master.wait_serving(3);
    master.finish();
}

TEST_CASE("nothing is killed: sums are exactly what clients counted, through hot and fresh reloads") {
    TestConfig config{.workers = 2};
    MasterUnderTest master(config);
    ReaderProcess reader_process(master, 1000);
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
    CHECK_MESSAGE(totals.nothing_lost(), to_text(totals));
    CHECK(reader_process.finish() == "");
    CHECK(reader.sum("drover_http_requests_total") == totals.requests);
    CHECK(reader.sum("drover_http_responses_2xx_total") == totals.replies);
    CHECK(reader.sum("drover_connections_accepted_total") == 16);
    master.wait_until("the clients are gone", [&] { return reader.sum("drover_connections_active") == 0; });
    CHECK(reader.sum("drover_received_bytes_total") == reader.sum("drover_http_bytes_in_total"));
    CHECK(reader.sum("drover_sent_bytes_total") == reader.sum("drover_http_bytes_out_total"));
    CHECK(value(reader, "drover_reloads_total{result=\"ok\"}") == 12);
    CHECK(reader.sum("drover_worker_deaths_total") == 0);
    master.finish();
}

TEST_CASE("labels come and go with hot reloads, in workers that stay; what comes back goes on") {
    const Tally tally;
    MasterUnderTest master(tally.config("\"a\", \"b\""), with_tally);
    const CounterReader reader = reader_of(master);
    const std::vector<pid_t> workers = master.worker_pids();
    ReaderProcess reader_process(master, 100);
    CHECK(tally.count("a") == "ok\n");
    CHECK(tally.count("a") == "ok\n");
    CHECK(tally.count("b", 5000) == "ok\n");
    CHECK(tally.count("c") == "unknown\n");
    CHECK(value(reader, "tally_lines_total{name=\"a\"}") == 2);
    CHECK(value(reader, "tally_value_seconds{name=\"b\"}") == 1);

    master.write_config(tally.config("\"c\", \"b\""));
    REQUIRE(master.control("reload").ok);
    CHECK(tally.count("a") == "unknown\n");
    CHECK(tally.count("c") == "ok\n");
    CHECK(tally.count("b", 5000) == "ok\n");
    CHECK(value(reader, "tally_lines_total{name=\"a\"}") == 0);
    CHECK(reader.sum("tally_lines_total") == 3);
    CHECK(reader.sum("tally_value_seconds") == 3);
    CHECK(master.worker_pids() == workers);

    for (const pid_t pid : workers)
        ::kill(pid, SIGKILL);
    master.wait_replaced(workers);
    master.write_config(tally.config("\"a\", \"b\""));
    REQUIRE(master.control("reload").ok);
    CHECK(tally.count("a") == "ok\n");
    CHECK(value(reader, "tally_lines_total{name=\"a\"}") == 3);
    CHECK(value(reader, "tally_lines_total{name=\"b\"}") == 2);
    for (const Sum& sum : reader.sums()) {
        if (sum.text() != "tally_value_seconds{name=\"b\"}") continue;
        CHECK(sum.sum == 10'000);
        CHECK(sum.quantile(0.5) == doctest::Approx(5000).epsilon(0.06));
    }
    CHECK(reader_process.finish() == "");
    master.finish();
}

TEST_CASE("cells of labels that are gone are used again by running workers, as often as one likes") {
    const Tally tally;
    MasterUnderTest master(tally.config("\"round 0\"", "counters = 512\n"), with_tally);
    const CounterReader reader = reader_of(master);
    const std::vector<pid_t> workers = master.worker_pids();
    ReaderProcess reader_process(master, 100);
    // One name takes 147 cells: 512 have room for three at a time.
    for (int round = 0; round < 20; ++round) {
        const std::string name = "round " + std::to_string(round);
        const std::string text = "tally_lines_total{name=\"" + name + "\"}";
        master.write_config(tally.config("\"" + name + "\"", "counters = 512\n"));
        // A worker says with a report that it has let go of what was.
        std::string refused;
        master.wait_until("the reload", [&] {
            refused = master.control("reload").text;
            return master.status().last_reload->result == "ok";
        });
        CAPTURE(refused);
        CHECK(value(reader, text) == 0);
        CHECK(tally.count(name.substr(0, 5)) == "unknown\n");
    }
    CHECK(master.worker_pids() == workers);
    CHECK(reader_process.finish() == "");
    master.finish();
}

TEST_CASE("more counters than there is room for are refused, by name, and change nothing") {
    const Tally tally;
    MasterUnderTest master(tally.config("\"a\"", "counters = 512\n"), with_tally);
    master.write_config(tally.config("\"a\", \"b\", \"c\", \"d\"", "counters = 512\n"));
    const ControlReply reload = master.control("reload");
    CHECK_FALSE(reload.ok);
    CHECK(reload.text.find("module.tally: histogram \"tally_value_seconds{name=") != std::string::npos);
    CHECK(reload.text.find("of 512 cells (master.counters)") != std::string::npos);
    // Each fits, but not both while the reload is under way.
    master.write_config(tally.config("\"x\", \"y\", \"z\"", "counters = 512\n"));
    const ControlReply both = master.control("reload");
    CHECK_FALSE(both.ok);
    CHECK(both.text.find("no room for histogram tally_value_seconds{name=\"z\"} of module.tally") !=
          std::string::npos);
    CHECK(tally.count("a") == "ok\n");
    CHECK(master.status().serving(2));
    CHECK(value(reader_of(master), "drover_reloads_total{result=\"refused\"}") == 2);
    master.finish();
}

TEST_CASE("the table that the control socket hands out cannot be written") {
    MasterUnderTest master;
    const UniqueFd table = ask_for_counters(master.control_path());
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
        ::usleep(10'000);
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
        ::usleep(10'000);
    CHECK(reader.sum("drover_listener_drops_total") > 0);
    CHECK(reader.sum("drover_listener_queue_connections") == 3);
    ::kill(worker, SIGCONT);
    sockets.clear();
    master.finish();
}

}  // namespace drover::test
