// Log and access log to the service's own standard output, as containers have them.
#include "tests/support/contains.h"
#include "tests/support/counter_watch.h"
#include "tests/support/http_client.h"
#include "tests/support/master_under_test.h"
#include "tests/support/skipped.h"

#include <array>
#include <filesystem>
#include <string>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

namespace drover::test {
namespace {

// The service's standard output is a pipe that we read, or do not.
struct PipedMaster {
    std::array<UniqueFd, 2> ends = make_ends();
    MasterUnderTest master;
    std::string seen = {};

    PipedMaster(TestConfig config, std::function<void(MasterUnderTest&)> prepare)
        : master(config, start(std::move(prepare))) {
        ends[1].reset();
    }

    static std::array<UniqueFd, 2> make_ends() {
        int fds[2];
        REQUIRE(::pipe2(fds, O_CLOEXEC) == 0);
        REQUIRE(::fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0);
        return {UniqueFd(fds[0]), UniqueFd(fds[1])};
    }
    MasterUnderTest::Start start(std::function<void(MasterUnderTest&)> prepare) {
        MasterUnderTest::Start start;
        start.before_exec = [fd = ends[1].get()] { ::dup2(fd, STDOUT_FILENO); };
        if (prepare) start.prepare = std::move(prepare);
        return start;
    }
    bool saw(std::string_view text) {
        std::array<char, 65536> buffer{};
        for (ssize_t size = 0; (size = ::read(ends[0].get(), buffer.data(), buffer.size())) > 0;)
            seen.append(buffer.data(), static_cast<std::size_t>(size));
        return contains(seen, text);
    }
};

std::string to(const std::string& name) {
    return "[module.http]\naccess_log = \"" + name + "\"\naccess_log_format = \"common\"\n";
}

}  // namespace

TEST_CASE("the access log and the log go to standard output, by its word, its path and a link to it") {
    const auto link = [](MasterUnderTest& self) {
        std::filesystem::create_directory(self.folder().file("log"));
        std::filesystem::create_symlink("/dev/stdout", self.folder().file("log/access.log"));
    };
    TestConfig config{.workers = 2, .log_file = "stdout", .rest = to("stdout")};
    PipedMaster service(config, link);
    MasterUnderTest& master = service.master;
    int number = 0;
    for (const std::string name : {"stdout", "/dev/stdout", "log/access.log", "/proc/self/fd/1"}) {
        config.rest = to(name);
        config.log_file = name;
        master.write_config(config);
        CHECK(master.control("reload").ok);
        const std::string path = "/number/" + std::to_string(++number);
        CHECK(master.get(path) == "first");
        master.wait_until("the line", [&] { return service.saw("\"GET " + path + " HTTP/1.1\" 200 5 "); });
        CHECK(master.cli({"reopen"}).code() == 0);
        CHECK(master.get(path + "/reopened") == "first");
        master.wait_until("the next line", [&] { return service.saw("\"GET " + path + "/reopened HTTP"); });
        master.wait_until("the log", [&] { return service.saw("log files reopened"); });
    }
    master.finish();
}

TEST_CASE("workers of another user write to a standard output that is not theirs") {
    if (lacks_root()) return;
    PipedMaster service({.workers = 1, .master = "user = \"nobody\"\n", .rest = to("stdout")}, {});
    MasterUnderTest& master = service.master;
    CHECK(master.get("/nobody") == "first");
    master.wait_until("the line", [&] { return service.saw("\"GET /nobody HTTP/1.1\" 200 5 "); });
    master.finish();
}

TEST_CASE("a reader of standard output that stands still holds nobody up, and what is lost is counted") {
    PipedMaster service({.workers = 1, .log_file = "stdout", .rest = to("stdout")}, {});
    MasterUnderTest& master = service.master;
    HttpClient client(master.http_port());
    const std::string path = "/" + std::string(1000, 'a');
    const auto lost = [&master] { return master.status().counters.at("drover_http_access_log_lost_total"); };
    for (int sent = 0; lost() == 0 && sent < 2000; sent += 100)
        for (int i = 0; i < 100; ++i)
            CHECK(client.get(path).status == 200);
    CHECK(lost() > 0);
    CHECK(master.cli({"status"}).code() == 0);
    CHECK(master.control("reload").ok);
    CHECK(service.saw("\"GET /aaa"));
    master.finish();
}

}  // namespace drover::test
