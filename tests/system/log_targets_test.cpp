// The log to systemd's journal and to a FIFO, of a whole service: fields, drops, changes by reloads.
#include "tests/core/log/journal_socket.h"
#include "tests/support/master_under_test.h"
#include "tests/support/proc.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace drover::test {
namespace {

// A master whose workers say what they are told to, and the journal that it logs to.
struct JournalMaster {
    std::unique_ptr<JournalSocket> journal;
    ReservedPort port;
    MasterUnderTest master;
    std::vector<JournalFields> entries;

    JournalMaster()
        : master(config(), {.program = DROVER_TROUBLE_PROGRAM, .prepare = [this](MasterUnderTest& self) {
                                journal = std::make_unique<JournalSocket>(self.folder().file("journal.sock"));
                            }}) {}

    TestConfig config() const {
        return {
            .workers = 2,
            .log_file = "journal:journal.sock",
            .modules = "\"http\", \"echo\", \"trouble\"",
            .rest = "\n[[pool.main.listen]]\naddress = \"" + port.address() + "\"\nmodule = \"trouble\"\n"};
    }
    // The entry that says this; there is one in time.
    JournalFields find(std::string_view message) {
        std::optional<JournalFields> found;
        master.wait_until(message, [&] {
            const std::vector<JournalFields> more = journal->take();
            entries.insert(entries.end(), more.begin(), more.end());
            for (const JournalFields& entry : entries)
                if (entry.at("MESSAGE").find(message) != std::string::npos) found = entry;
            return found.has_value();
        });
        return *found;
    }
};

class FifoReader {
  public:
    explicit FifoReader(const std::string& path)
        : fd_(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)) {
        REQUIRE(fd_);
    }
    const std::string& read() {
        std::array<char, 65536> buffer{};
        for (ssize_t size = 0; (size = ::read(fd_.get(), buffer.data(), buffer.size())) > 0;)
            text_.append(buffer.data(), static_cast<std::size_t>(size));
        return text_;
    }
    bool saw(std::string_view text) { return read().find(text) != std::string::npos; }

  private:
    UniqueFd fd_;
    std::string text_;
};

// Whether a worker's writing to `path` is on a description that the master or another worker has, too.
bool shares_description(MasterUnderTest& master, const std::string& path) {
    std::vector<pid_t> processes = master.worker_pids();
    processes.push_back(master.pid());
    for (const pid_t one : processes) {
        // A worker may be about to change an old descriptor for a new one.
        std::vector<int> fds;
        master.wait_until("a descriptor of the log", [&] { return !(fds = fds_of(one, path)).empty(); });
        for (const pid_t other : processes) {
            for (const int fd : fds) {
                for (const int other_fd : one < other ? fds_of(other, path) : std::vector<int>()) {
                    const long order = ::syscall(SYS_kcmp, one, other, KCMP_FILE, fd, other_fd);
                    REQUIRE_MESSAGE(order >= 0, std::strerror(errno));
                    if (order == 0) return true;
                }
            }
        }
    }
    return false;
}

}  // namespace

TEST_CASE("journal: master and workers say who they are, whom they speak about, and of which generation") {
    JournalMaster logging;
    const JournalFields ready = logging.find("ready: generation 1 serves");
    CHECK(ready.at("DROVER_ROLE") == "master");
    CHECK(ready.at("DROVER_EVENT") == "ready");
    CHECK(ready.at("DROVER_GENERATION") == "1");
    CHECK(ready.at("PRIORITY") == "6");
    CHECK_FALSE(ready.contains("DROVER_POOL"));

    StreamClient client = StreamClient::connect_tcp(logging.port.number());
    client.send("log from a worker\n");
    CHECK(client.read_until("ok\n") == "ok\n");
    const JournalFields line = logging.find("from a worker");
    CHECK(line.at("DROVER_ROLE") == "worker");
    CHECK(line.at("DROVER_POOL") == "main");
    CHECK(line.at("DROVER_GENERATION") == "1");
    CHECK((line.at("DROVER_SLOT") == "0" || line.at("DROVER_SLOT") == "1"));

    const pid_t victim = logging.master.worker_pids().front();
    kill(victim, SIGKILL);
    const JournalFields death = logging.find("killed by signal 9");
    CHECK(death.at("DROVER_EVENT") == "worker_death");
    CHECK(death.at("DROVER_ROLE") == "master");
    CHECK(death.at("DROVER_POOL") == "main");
    CHECK(death.contains("DROVER_SLOT"));
    CHECK(death.at("DROVER_WORKER_PID") == std::to_string(victim));
    CHECK(death.at("PRIORITY") == "3");
    logging.master.wait_replaced({victim});

    TestConfig next = logging.config();
    next.body = "second";
    logging.master.write_config(next);
    REQUIRE(logging.master.control("reload").ok);
    CHECK(logging.find("reload: generation 2 serves").at("DROVER_GENERATION") == "2");
    StreamClient other = StreamClient::connect_tcp(logging.port.number());
    other.send("log of the second\n");
    CHECK(other.read_until("ok\n") == "ok\n");
    CHECK(logging.find("of the second").at("DROVER_GENERATION") == "2");
    logging.master.finish();
}

TEST_CASE("journal: one that is stuck or gone does not hold the service up, and lost lines are counted") {
    JournalMaster logging;
    logging.find("ready: ");
    StreamClient client = StreamClient::connect_tcp(logging.port.number());
    const std::string text(2000, 'x');
    for (int line = 0; line < 2000; ++line) {
        client.send("log " + text + "\n");
        REQUIRE(client.read_until("ok\n") == "ok\n");
    }
    CHECK(logging.master.get() == "first");
    logging.master.wait_until("the count of lost lines", [&] {
        return logging.master.status().counters.at("drover_log_lines_lost_total") > 0;
    });
    logging.journal->take();
    client.send("log room again\n");
    CHECK(client.read_until("ok\n") == "ok\n");
    logging.find(" log lines were lost");
    logging.find("room again");
    logging.journal.reset();
    client.send("log to nobody\n");
    CHECK(client.read_until("ok\n") == "ok\n");
    CHECK(logging.master.get() == "first");
    logging.master.finish();
}

TEST_CASE(
    "journal: one that is not there is an error at the start, and leaves the log as it is in a reload") {
    {
        MasterUnderTest master({.log_file = "journal:nobody"}, {.wait_ready = false});
        CHECK(master.wait_exit() == Exit{1, 0});
        const std::string output = master.output();
        CHECK_MESSAGE(output.find("nobody as the journal: No such file or directory") != std::string::npos,
                      output);
        CHECK(std::ranges::count(output, '\n') == 1);
        master.verify_clean({1, 0});
    }
    MasterUnderTest master;
    master.write_config({.log_file = "journal:nobody"});
    CHECK(master.control("reload").ok);
    master.wait_output("log files stay as they are: ");
    CHECK(master.status().serving(2));
    master.finish();
}

TEST_CASE("fifo: a collector reads the log of all; without one the service goes on") {
    MasterUnderTest master({.log_file = "fifo:log.fifo"});
    FifoReader reader(master.folder().file("log.fifo"));
    master.wait_until("what was before", [&] { return reader.saw("ready: generation 1 serves"); });
    const pid_t victim = master.worker_pids().front();
    kill(victim, SIGTERM);
    master.wait_until("a worker's own line", [&] { return reader.saw("told to leave"); });
    master.wait_replaced({victim});
    CHECK(reader.saw("] worker main/"));
    master.finish();
    CHECK(reader.saw("stopped: no worker is left"));
}

TEST_CASE("fifo: full, drained, and read on; lost lines are counted") {
    MasterUnderTest master({.log_file = "drover.log"});
    master.write_config({.log_file = "fifo:log.fifo"});
    REQUIRE(master.control("reload").ok);  // a hot one
    make_events(master.control_path(), 2000);
    CHECK(master.get() == "first");
    master.wait_until("the count of lost lines",
                      [&] { return master.status().counters.at("drover_log_lines_lost_total") > 0; });
    FifoReader reader(master.folder().file("log.fifo"));
    CHECK(reader.saw("pool main: 2 workers"));
    CHECK(master.control("reopen").ok);
    master.wait_until("what came then", [&] { return reader.saw("log files reopened"); });
    CHECK(reader.saw("lost\n"));
    CHECK(read_file(master.folder().file("drover.log")).find("log files reopened") == std::string::npos);
    master.finish();
}

TEST_CASE("fifo: a path that is something else is refused with the reason") {
    MasterUnderTest master({.log_file = "fifo:drover.toml"}, {.wait_ready = false});
    CHECK(master.wait_exit() == Exit{1, 0});
    CHECK_MESSAGE(master.output().find("drover.toml as a log file (it is no FIFO)") != std::string::npos,
                  master.output());
    master.verify_clean({1, 0});
}

TEST_CASE("what a worker does to the description of a log it does to itself") {
    for (const std::string target : {"drover.log", "fifo:log.fifo"}) {
        CAPTURE(target);
        MasterUnderTest master(
            {.workers = 3, .log_file = target, .rest = "\n[module.http]\naccess_log = \"access.log\"\n"});
        const std::string log = master.folder().file(target.substr(target.find(':') + 1));
        CHECK_FALSE(shares_description(master, log));
        CHECK_FALSE(shares_description(master, master.folder().file("access.log")));
        REQUIRE(master.control("reopen").ok);
        CHECK(master.get() == "first");
        CHECK_FALSE(shares_description(master, log));
        CHECK_FALSE(shares_description(master, master.folder().file("access.log")));
        master.finish();
    }
}

TEST_CASE("fifo: a path that is missing is said with its place") {
    MasterUnderTest master({.log_file = "fifo:"}, {.wait_ready = false});
    CHECK(master.wait_exit() == Exit{78, 0});
    CHECK_MESSAGE(master.output().find(": master.log_file: \"fifo:\" needs a path") != std::string::npos,
                  master.output());
    master.verify_clean({78, 0});
}

}  // namespace drover::test
