// Clients that people use, against the real program: curl, wrk, ab, slowhttptest. Where one is not installed
// the test says so and passes.
#include "tests/support/child.h"
#include "tests/support/master_under_test.h"
#include "tests/support/skipped.h"

#include <filesystem>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>

namespace drover::test {

namespace {

bool running(const Child& child) {
    pollfd end{child.pidfd(), POLLIN, 0};
    return ::poll(&end, 1, 0) == 0;
}

// The http listener serves a folder under /files/, and a fixed reply elsewhere.
struct SiteUnderTest {
    SiteUnderTest() : SiteUnderTest("") {}
    explicit SiteUnderTest(const std::string& options)
        : master({.rest = "[module.http]\n" + options +
                          "[[module.http.route]]\npath = \"/files/\"\nroot = \"public\"\n"},
                 {.prepare = [](MasterUnderTest& starting) {
                     std::filesystem::create_directory(starting.folder().file("public"));
                     write_file(starting.folder().file("public/large"), std::string(3'000'000, 'x') + "end");
                     write_file(starting.folder().file("public/small.txt"), "0123456789");
                 }}) {}

    std::string url(const std::string& path = "/") const {
        return "http://127.0.0.1:" + std::to_string(master.http_port()) + path;
    }
    CommandResult curl(std::vector<std::string> arguments) const {
        std::vector<std::string> command{"curl", "--silent", "--show-error", "--max-time", "20"};
        command.insert(command.end(), arguments.begin(), arguments.end());
        return run_command(command);
    }
    MasterUnderTest master;
};

}  // namespace

TEST_CASE("curl: both versions, HEAD, ranges, uploads and who waits to be asked") {
    if (lacks_program("curl")) return;
    SiteUnderTest site;
    CHECK(site.curl({site.url()}).output == "first");
    CHECK(site.curl({"--http1.0", site.url()}).output == "first");
    CHECK(site.curl({site.url(), site.url(), "--next", site.url("/status")}).code() == 0);
    const std::string head = site.curl({"--head", site.url("/files/small.txt")}).output;
    CHECK(head.starts_with("HTTP/1.1 200 OK\r\n"));
    CHECK(head.find("Content-Length: 10\r\n") != std::string::npos);
    CHECK(site.curl({"--range", "2-4", site.url("/files/small.txt")}).output == "234");
    const std::string parts = site.curl({"--range", "0-1,8-9", site.url("/files/small.txt")}).output;
    CHECK(parts.find("Content-Range: bytes 8-9/10\r\n\r\n89\r\n") != std::string::npos);
    CHECK(site.curl({site.url("/files/large")}).output == std::string(3'000'000, 'x') + "end");
    CHECK(site.curl({"--compressed", "--path-as-is", site.url("/files/../files/small.txt")}).output ==
          "0123456789");

    const std::string upload = site.master.folder().file("public/large");
    const std::string code = "%{http_code}";
    CHECK(site.curl({"--data-binary", "abc", "-o", "/dev/null", "-w", code, site.url()}).output == "405");
    CHECK(site.curl({"--data-binary", "@" + upload, "-H", "Expect: 100-continue", "-o", "/dev/null", "-w",
                     code, site.url()})
              .output == "413");
    CHECK(site.curl({"--upload-file", upload, "-H", "Transfer-Encoding: chunked", "-o", "/dev/null", "-w",
                     code, site.url()})
              .output == "405");
    CHECK(site.curl({"--request", "GET", "--data", "abc", "-H", "Expect: 100-continue", site.url()}).output ==
          "first");
    CHECK(site.curl({"--request", "OPTIONS", "--request-target", "*", "-w", code, site.url()}).output ==
          "204");
    CHECK(site.curl({"--proxy", site.url(), "http://example.org/files/small.txt"}).output == "0123456789");
    site.master.finish();
}

TEST_CASE("wrk and ab find no failure") {
    SiteUnderTest site;
    if (!lacks_program("wrk")) {
        for (const char* path : {"/", "/files/small.txt", "/files/large"}) {
            const CommandResult result = run_command({"wrk", "-t1", "-c16", "-d1s", site.url(path)});
            CHECK(result.code() == 0);
            CHECK_MESSAGE(result.output.find("Non-2xx") == std::string::npos, result.output);
            CHECK_MESSAGE(result.output.find("Socket errors") == std::string::npos, result.output);
        }
    }
    if (!lacks_program("ab")) {
        for (const char* keep : {"-k", "-d"}) {
            const CommandResult result =
                run_command({"ab", "-q", keep, "-n", "2000", "-c", "16", site.url("/files/small.txt")});
            CHECK(result.code() == 0);
            CHECK_MESSAGE(result.output.find("Failed requests:        0\n") != std::string::npos,
                          result.output);
            CHECK_MESSAGE(result.output.find("Non-2xx") == std::string::npos, result.output);
        }
    }
    site.master.finish();
}

TEST_CASE("slow clients of all three kinds leave the others unharmed") {
    if (lacks_program("slowhttptest")) return;
    SiteUnderTest site("header_timeout = \"2s\"\nbody_timeout = \"2s\"\nsend_timeout = \"2s\"\n");
    const std::vector<std::vector<std::string>> attacks{
        {"-H", "-i", "1", "-u", site.url()},
        {"-B", "-i", "1", "-s", "4096", "-u", site.url()},
        {"-X", "-w", "1", "-y", "8", "-n", "1", "-z", "4", "-u", site.url("/files/large")},
    };
    for (const std::vector<std::string>& attack : attacks) {
        std::vector<std::string> command{"slowhttptest", "-c", "200", "-r", "200", "-l", "3"};
        command.insert(command.end(), attack.begin(), attack.end());
        const UniqueFd nowhere(::open("/dev/null", O_WRONLY | O_CLOEXEC));
        Child attacker = Child::start(command, {.output = nowhere.get(), .errors = nowhere.get()});
        while (running(attacker))
            REQUIRE(site.master.get() == "first");
        CHECK(attacker.wait_exit().signal == 0);
    }
    site.master.finish();
}

}  // namespace drover::test
