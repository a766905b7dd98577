// The log through USR1: rename and reopen under load, every line once and none torn.
#include "tests/support/held_connections.h"
#include "tests/support/master_under_test.h"
#include "tests/support/proc.h"
#include "tests/support/repeater.h"
#include "tests/support/shortage.h"

#include <filesystem>
#include <map>
#include <memory>
#include <regex>
#include <sstream>
#include <vector>

#include <doctest/doctest.h>
#include <sys/resource.h>

namespace drover::test {
namespace {

constexpr int writers = 4;

struct TalkingMaster {
    ReservedPort port;
    MasterUnderTest master;

    explicit TalkingMaster(const std::string& log_file)
        : master(TestConfig{.workers = 3,
                            .log_file = log_file,
                            .modules = "\"http\", \"echo\", \"trouble\"",
                            .rest = "\n[[pool.main.listen]]\naddress = \"" + port.address() +
                                    "\"\nmodule = \"trouble\"\n"},
                 {.program = DROVER_TROUBLE_PROGRAM, .prepare = [](MasterUnderTest& self) {
                      std::filesystem::create_directory(self.folder().file("logs"));
                  }}) {}
};

// A client makes its worker log numbered lines, one after the other, until it is told to stop.
std::unique_ptr<Repeater> write_lines(int number, std::uint16_t port) {
    return std::make_unique<Repeater>([number, port] {
        const auto client = std::make_shared<StreamClient>(StreamClient::connect_tcp(port));
        return [client, number](int times) {
            client->send("log writer " + std::to_string(number) + " line " + std::to_string(times) +
                         " end\n");
            client->read_until("ok\n");
        };
    });
}

}  // namespace

TEST_CASE("the log is moved away and reopened under load: every line once, none torn") {
    TalkingMaster talking("drover.log");
    MasterUnderTest& master = talking.master;
    const std::string log = master.folder().file("drover.log");
    std::vector<std::unique_ptr<Repeater>> all;
    for (int i = 0; i < writers; ++i)
        all.push_back(write_lines(i, talking.port.number()));

    constexpr int moves = 20;
    for (int move = 0; move < moves; ++move) {
        std::filesystem::rename(log, log + "." + std::to_string(move));
        if (move % 2 == 0) {
            master.signal(SIGUSR1);
        } else {
            CHECK(master.control("reopen").ok);
        }
        const int seen = all[0]->times();
        master.wait_until("a new log file with lines of workers", [&] {
            return all[0]->times() > seen + 20 && read_file(log).find("writer 0") != std::string::npos;
        });
    }
    for (const auto& writer : all)
        CHECK(writer->stop() == "");
    master.finish();

    std::map<std::string, int> found;
    static const std::regex whole(R"(writer (\d+) line (\d+) end$)");
    for (int move = 0; move <= moves; ++move) {
        const std::string path = move < moves ? log + "." + std::to_string(move) : log;
        std::istringstream lines(read_file(path));
        for (std::string line; std::getline(lines, line);) {
            if (line.find("writer") == std::string::npos) continue;
            std::smatch match;
            REQUIRE_MESSAGE(std::regex_search(line, match, whole), "torn: " << line);
            CHECK_MESSAGE(line.find("main/") != std::string::npos, "no pool and slot: " << line);
            ++found[match.str(1) + "/" + match.str(2)];
        }
    }
    for (int i = 0; i < writers; ++i) {
        const int lines = all[static_cast<std::size_t>(i)]->times();
        CHECK(lines > 0);
        int once = 0;
        for (int line = 0; line < lines; ++line)
            once += found[std::to_string(i) + "/" + std::to_string(line)] == 1;
        CHECK_MESSAGE(once == lines,
                      "writer " << i << ": " << once << " of " << lines << " lines stand there once");
    }
}

TEST_CASE("a log that cannot be opened on USR1 keeps the old one, and the service goes on") {
    TalkingMaster talking("logs/drover.log");
    MasterUnderTest& master = talking.master;
    std::filesystem::remove_all(master.folder().file("logs"));
    CHECK(master.get() == "first");
    const ControlReply reply = master.control("reopen");
    CHECK_FALSE(reply.ok);
    master.signal(SIGUSR1);
    CHECK(master.status().serving(3));
    StreamClient client = StreamClient::connect_tcp(talking.port.number());
    client.send("log still here\n");
    CHECK(client.read_until("ok\n") == "ok\n");
    std::filesystem::create_directory(master.folder().file("logs"));
    CHECK(master.control("reopen").ok);
    // The worker has its new file a moment after the master's answer.
    master.wait_until("a line in the new file", [&] {
        client.send("log and back\n");
        CHECK(client.read_until("ok\n") == "ok\n");
        return read_file(master.folder().file("logs/drover.log")).find("and back") != std::string::npos;
    });
    master.finish();
}

TEST_CASE("a full disk does not stop the service") {
    if (!std::filesystem::exists("/dev/full")) return;
    const TemporaryFolder mount;
    if (run_command({"mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", mount.path()}).code() != 0) return;
    {
        TalkingMaster talking(mount.file("drover.log"));
        MasterUnderTest& master = talking.master;
        write_file(mount.file("ballast"), "");
        StreamClient client = StreamClient::connect_tcp(talking.port.number());
        const std::string text(1000, 'x');
        for (int i = 0; i < 200; ++i) {
            client.send("log " + text + "\n");
            CHECK(client.read_until("ok\n") == "ok\n");
        }
        CHECK(master.get() == "first");
        master.write_config({.body = "second", .workers = 3, .log_file = mount.file("drover.log")});
        std::filesystem::rename(mount.file("drover.log"), mount.file("old.log"));
        std::filesystem::remove(mount.file("old.log"));
        CHECK(master.control("reopen").ok);
        std::string log;
        master.wait_until("a line in the new file", [&] {
            client.send("log room again\n");
            CHECK(client.read_until("ok\n") == "ok\n");
            log = read_file(mount.file("drover.log"));
            return log.find("room again") != std::string::npos;
        });
        CHECK_MESSAGE(log.find("lost") != std::string::npos, log);
        master.finish();
    }
    CHECK(run_command({"umount", mount.path()}).code() == 0);
}

TEST_CASE("a log that may not grow (RLIMIT_FSIZE) ends nobody: lines are counted, and come again") {
    TalkingMaster talking("drover.log");
    MasterUnderTest& master = talking.master;
    StreamClient client = StreamClient::connect_tcp(talking.port.number());
    const std::vector<pid_t> workers = master.worker_pids();
    std::vector<pid_t> all = workers;
    all.push_back(master.pid());
    const auto limit = [&](rlim_t most) {
        const rlimit size{most, RLIM_INFINITY};
        for (const pid_t process : all)
            REQUIRE(::prlimit(process, RLIMIT_FSIZE, &size, nullptr) == 0);
    };
    limit(std::filesystem::file_size(master.folder().file("drover.log")));
    client.send("log no room\n");
    CHECK(client.read_until("ok\n") == "ok\n");
    CHECK_FALSE(master.control("nonsense").ok);
    CHECK(master.control("reopen").ok);
    master.wait_until("the count of lost lines",
                      [&] { return master.status().counters.at("drover_log_lines_lost_total") >= 2; });
    limit(RLIM_INFINITY);
    client.send("log room again\n");
    CHECK(client.read_until("ok\n") == "ok\n");
    CHECK(master.control("reopen").ok);
    const std::string log = read_file(master.folder().file("drover.log"));
    CHECK_MESSAGE(log.find("1 log line was lost") != std::string::npos, log);
    CHECK(log.find("room again") != std::string::npos);
    CHECK(master.worker_pids() == workers);
    master.finish();
}

TEST_CASE("JSON lines") {
    MasterUnderTest master({.log_file = "drover.log", .master = "log_format = \"json\"\n"});
    master.finish();
    std::istringstream lines(read_file(master.folder().file("drover.log")));
    int count = 0;
    for (std::string line; std::getline(lines, line); ++count) {
        CHECK_MESSAGE((line.starts_with("{") && line.ends_with("}")), line);
    }
    CHECK(count > 0);
}

TEST_CASE("workers that could not be sent the log for want of descriptors get it after the shortage") {
    MasterUnderTest master({.workers = 3, .log_file = "logs/drover.log", .pool = "hang_timeout = \"off\"\n"},
                           {.prepare = [](MasterUnderTest& self) {
                               std::filesystem::create_directory(self.folder().file("logs"));
                           }});
    const std::string log = master.folder().file("logs/drover.log");
    const std::string old = master.folder().file("logs/old.log");
    const std::vector<pid_t> workers = master.worker_pids();
    StreamClient caller = StreamClient::connect_unix(master.control_path());
    // By signal: `drover reopen` would wait for those that stand still.
    const auto reopen = [&] {
        master.signal(SIGUSR1);
        for (int turn = 0; turn < 2; ++turn) {
            caller.send("{\"command\":\"events\",\"last\":0}\n");
            CHECK(caller.read_until("\n").starts_with("{\"ok\":true"));
        }
    };
    reopen();
    for (const pid_t worker : workers)
        REQUIRE(freeze(worker));
    // Until what is sent to them waits in the master.
    const std::size_t before = count_fds_of(master.pid());
    for (int i = 0; i < 2000 && count_fds_of(master.pid()) < before + workers.size(); ++i)
        reopen();
    REQUIRE(count_fds_of(master.pid()) >= before + workers.size());
    std::filesystem::rename(log, old);
    {
        // For opening the log, and then for one of them.
        const NoDescriptors shortage(master.pid(), 2);
        reopen();
    }
    for (const pid_t worker : workers)
        kill(worker, SIGCONT);
    for (const pid_t worker : workers)
        master.wait_until("the new log",
                          [&] { return fds_of(worker, old).empty() && !fds_of(worker, log).empty(); });
    master.finish();
}

}  // namespace drover::test
