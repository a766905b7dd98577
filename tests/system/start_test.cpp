// A master starts, answers, and a failed start leaves nothing.
#include "tests/support/master_under_test.h"
#include "tests/support/proc.h"

#include <filesystem>

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace drover::test {

TEST_CASE("a master starts, answers every client and stops") {
    MasterUnderTest master;
    CHECK(master.get() == "first");
    CHECK(http_get(master.http_port(), "/status").status == 200);

    StreamClient echo = StreamClient::connect_tcp(master.echo_port());
    echo.send("a line of text\n");
    CHECK(echo.read_until("\n") == "a line of text\n");

    const StatusView view = master.status();
    CHECK(view.state == "running");
    CHECK(view.pid == master.pid());
    CHECK(view.generation == 1);
    CHECK_FALSE(view.last_reload);
    CHECK(view.serving(2));
    CHECK(read_file(master.runtime_dir() + "/drover.pid") == std::to_string(master.pid()) + "\n");
    echo.finish_sending();
    CHECK(echo.ended());
    master.finish();
}

TEST_CASE("curl gets the page and the status") {
    MasterUnderTest master;
    const std::string url = "http://127.0.0.1:" + std::to_string(master.http_port());
    const CommandResult page = run_command({"curl", "-sS", "-i", url + "/"});
    CHECK(page.code() == 0);
    CHECK(page.output.starts_with("HTTP/1.1 200"));
    CHECK(page.output.ends_with("first"));
    const CommandResult status = run_command({"curl", "-sS", url + "/status"});
    CHECK(StatusView::parse(status.output).serving(2));
    const CommandResult missing =
        run_command({"curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST", url});
    CHECK(missing.output == "405");
    master.finish();
}

TEST_CASE("wrk sees no error, and the counters count every connection") {
    MasterUnderTest master;
    const std::string url = "http://127.0.0.1:" + std::to_string(master.http_port()) + "/";
    const CommandResult result = run_command({"wrk", "-t1", "-c32", "-d2s", url});
    CHECK(result.code() == 0);
    CHECK(result.output.find("Socket errors") == std::string::npos);
    CHECK(result.output.find("Non-2xx") == std::string::npos);
    master.wait_until("all connections counted and none active", [&] {
        auto counters = master.status().counters;
        return counters.at("drover_connections_accepted_total") >= 32 &&
               counters.at("drover_connections_active") == 0;
    });
    master.finish();
}

namespace {

// The program ends by itself with `code`, says `reason` and leaves nothing.
void check_failed_start(MasterUnderTest& master, int code, std::string_view reason) {
    master.wait_exit();
    CHECK_MESSAGE(master.output().find(reason) != std::string::npos, "said: " << master.output());
    master.verify_clean({code, 0});
}

}  // namespace

TEST_CASE("a bad configuration at start ends with code 78") {
    MasterUnderTest master({}, {.wait_ready = false, .prepare = [](MasterUnderTest& self) {
                                    self.write_config({.master = "runtime_dirr = 1\n"});
                                }});
    check_failed_start(master, 78, "runtime_dirr");
}

TEST_CASE("a missing configuration at start ends with code 78") {
    MasterUnderTest master({}, {.wait_ready = false, .prepare = [](MasterUnderTest& self) {
                                    std::filesystem::remove(self.config_path());
                                }});
    check_failed_start(master, 78, "drover.toml");
}

TEST_CASE("what the machine lacks may be there later: a start without it ends with code 1") {
    for (const char* const rest : {"[[module.http.route]]\npath = \"/files/\"\nroot = \"none\"\n",
                                   "[pool.other]\nmodules = [\"./none.so\"]\n"}) {
        CAPTURE(rest);
        MasterUnderTest master({.rest = rest}, {.wait_ready = false});
        check_failed_start(master, 1, "none");
    }
}

TEST_CASE("a file that is wrong, too, is a bad configuration") {
    MasterUnderTest master(
        {.rest = "[[module.http.route]]\npath = \"/files/\"\nroot = \"none\"\n[pool.other]\nworkerz = 1\n"},
        {.wait_ready = false});
    check_failed_start(master, 78, "workerz");
}

TEST_CASE("a config reader that dies at start says nothing of the file: code 1, not 78") {
    for (const std::string order : {"crash", "exit", "memory"}) {
        if (order == "memory" && sanitizers) continue;  // no limit of memory there
        CAPTURE(order);
        const TestConfig config{.modules = "\"http\", \"echo\", \"trouble\"",
                                .rest = "\n[module.trouble]\nin_check = \"" + order + "\"\n"};
        MasterUnderTest master(config, {.wait_ready = false, .program = DROVER_TROUBLE_PROGRAM});
        master.wait_exit();
        CHECK_FALSE(master.output().empty());
        master.verify_clean({1, 0});
        const CommandResult check =
            run_command({DROVER_TROUBLE_PROGRAM, "check", "-c", master.config_path()});
        CHECK(check.code() == 1);
        CHECK_FALSE(check.errors.empty());
    }
}

TEST_CASE("where no process can be forked, run says so and ends") {
    const auto forbid_fork = [] {
        const rlimit none{0, 0};
        ::setrlimit(RLIMIT_NPROC, &none);
    };
    constexpr uid_t nobody = 65534;  // root is not limited
    MasterUnderTest master(
        {}, {.wait_ready = false,
             .environment = {"ASAN_OPTIONS=detect_leaks=0"},  // what looks for leaks is a process
             .before_exec = forbid_fork,
             .user = ::geteuid() == 0 ? nobody : 0});
    master.wait_exit();
    CHECK_MESSAGE(master.output().find("cannot start the config reader: fork") != std::string::npos,
                  master.output());
    master.verify_clean({1, 0});
}

TEST_CASE("at any limit of descriptors run serves, or says why not and ends") {
    if (sanitizers) return;  // they need descriptors of their own
    bool served = false;
    for (rlim_t most = 4; !served; ++most) {
        REQUIRE(most < 100);
        CAPTURE(most);
        MasterUnderTest master({.workers = 1}, {.wait_ready = false, .before_exec = [most] {
                                                    const rlimit limit{most, most};
                                                    ::setrlimit(RLIMIT_NOFILE, &limit);
                                                }});
        const Deadline deadline;
        while (master.running() && !served && !deadline.passed()) {
            master.notify().drain();
            served = master.notify().count("READY=1") > 0;
            ::poll(nullptr, 0, 1);
        }
        if (served) {
            master.finish();
        } else {
            REQUIRE_FALSE(master.running());
            const bool loaded = master.wait_exit().code != 127;  // with fewer ld.so(8) fails
            CHECK_FALSE(master.output().empty());
            master.verify_clean({loaded ? 1 : 127, 0});
        }
    }
}

TEST_CASE("a port that is taken at start is one clear line and code 1") {
    UniqueFd occupier;
    const auto occupy = [&](MasterUnderTest& self) { occupier = occupy_port(self.echo_port()); };
    MasterUnderTest master({}, {.wait_ready = false, .prepare = occupy});
    check_failed_start(master, 1, std::to_string(master.echo_port()));
}

TEST_CASE("a second master on the same runtime_dir is refused with the first one's pid") {
    MasterUnderTest master;
    const CommandResult second = master.cli({"run"});
    CHECK(second.code() == 1);
    CHECK(second.errors.find(std::to_string(master.pid())) != std::string::npos);
    CHECK(master.get() == "first");
    CHECK(master.status().serving(2));
    CHECK(read_file(master.runtime_dir() + "/drover.pid") == std::to_string(master.pid()) + "\n");
    master.finish();
}

TEST_CASE("a second master on the same port but another runtime_dir is refused") {
    MasterUnderTest master;
    TestConfig other{.body = "other"};
    std::string text = master.config_text(other);
    text.replace(text.find("\"run\""), 5, "\"run2\"");
    write_file(master.folder().file("other.toml"), text);
    const CommandResult second =
        run_command({DROVER_PROGRAM, "run", "-c", master.folder().file("other.toml")});
    CHECK(second.code() == 1);
    CHECK(second.errors.find(std::to_string(master.http_port())) != std::string::npos);
    CHECK(master.get() == "first");
    master.finish();
}

TEST_CASE("a stale pid file and a stale control socket are taken over") {
    const auto leave_files = [](MasterUnderTest& self) {
        std::filesystem::create_directory(self.runtime_dir());
        write_file(self.runtime_dir() + "/drover.pid", "1\n");
        const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        self.control_path().copy(address.sun_path, sizeof address.sun_path - 1);
        REQUIRE(bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    };
    MasterUnderTest master({}, {.prepare = leave_files});
    CHECK(read_file(master.runtime_dir() + "/drover.pid") == std::to_string(master.pid()) + "\n");
    CHECK(master.status().pid == master.pid());
    master.finish();
}

TEST_CASE("a master killed outright leaves files that the next one takes over") {
    MasterUnderTest master;
    master.signal(SIGKILL);
    CHECK(master.wait_exit() == Exit{-1, SIGKILL});
    REQUIRE(master.wait_orphans());
    const UniqueFd output(memfd_create("output", MFD_CLOEXEC));
    Child next = Child::start({DROVER_PROGRAM, "run", "-c", master.config_path()},
                              {.environment = {master.notify().environment()}, .errors = output.get()});
    master.notify().drain();
    const std::size_t ready = master.notify().count("READY=1");
    pollfd waiting{master.notify().fd(), POLLIN, 0};
    const Deadline deadline;
    while (master.notify().count("READY=1") == ready && !deadline.passed()) {
        poll(&waiting, 1, deadline.remaining_ms());
        master.notify().drain();
    }
    CHECK(master.get() == "first");
    CHECK(master.status().pid == next.pid());
    next.signal(SIGTERM);
    CHECK(next.wait_exit() == Exit{0, 0});
    master.verify_clean({-1, SIGKILL});
}

TEST_CASE("200 workers start and stop") {
    MasterUnderTest master({.workers = 200, .pool = "start_timeout = \"60s\"\n"});
    CHECK(children_of(master.pid()).size() == 200);
    CHECK(master.status().serving(200));
    CHECK(master.get() == "first");
    master.finish();
}

}  // namespace drover::test
