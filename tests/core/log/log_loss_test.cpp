#include "core/log/log.h"
#include "tests/core/log/log_reading.h"

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

using namespace drover;
using namespace drover::test;

TEST_CASE("a full disk: lines are counted, and the first one afterwards is preceded by their number") {
    FileLog file;
    file.log.info("before");
    file.log.set_target({UniqueFd(::open("/dev/full", O_WRONLY | O_CLOEXEC))});
    for (int i = 0; i < 7; ++i)
        file.log.info("lost");
    file.log.debug("below the level");
    CHECK(file.log.lost() == 7);
    file.log.set_target(open_log_target(file.path));
    file.log.set_level(LogLevel::error);
    file.log.error("after");
    file.log.error("after that");
    file.log.set_target({UniqueFd(::open("/dev/full", O_WRONLY | O_CLOEXEC))});
    file.log.error("lost");
    file.log.set_target(open_log_target(file.path));
    file.log.error("end");
    CHECK(messages_in(file.content()) == std::vector<std::string>{"before", "7 log lines were lost", "after",
                                                                  "after that", "1 log line was lost",
                                                                  "end"});
    CHECK(file.log.lost() == 8);
}

TEST_CASE("a disk that is full in mid-line: the next line starts on a fresh line") {
    FileLog file;
    file.log.info("before");
    auto* const handler_before = std::signal(SIGXFSZ, SIG_IGN);
    rlimit limit_before{};
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &limit_before) == 0);
    const rlimit tight{std::filesystem::file_size(file.path) + 10, limit_before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &tight) == 0);
    file.log.info("torn");
    file.log.info("lost");
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit_before) == 0);
    std::signal(SIGXFSZ, handler_before);
    CHECK(file.log.lost() == 2);

    bool reopened = false;
    SUBCASE("the same descriptor") {}
    SUBCASE("the same file, reopened") {
        reopened = true;
    }
    if (reopened) file.log.set_target(open_log_target(file.path));
    file.log.info("after");
    const std::vector<std::string> messages = messages_in(file.content());
    REQUIRE(messages.size() == 4);
    CHECK(messages[0] == "before");
    CHECK(messages[1].starts_with("no head: 2"));
    CHECK(messages[1].size() == std::string("no head: ").size() + 10);
    CHECK(messages[2] == "2 log lines were lost");
    CHECK(messages[3] == "after");

    file.log.set_target(open_log_target(file.directory.file("b.log")));
    file.log.info("elsewhere");
    CHECK(lines_of(content_of(file.directory.file("b.log"))).size() == 1);
}

TEST_CASE("a full pipe that nobody reads never blocks, also one that is blocking") {
    for (const int flags : {O_NONBLOCK, 0}) {
        CAPTURE(flags);
        auto [read_end, write_end] = make_pipe(flags);
        Log log({"master", "", -1});
        log.set_target({std::move(write_end)});
        for (int i = 0; i < 5000; ++i)
            log.info("line");
        log.info(std::string(8000, 'x'));
        const std::uint64_t lost = log.lost();
        CHECK(lost > 0);
        const std::string content = drain(read_end.get());
        CHECK(content.ends_with("\n"));
        CHECK(lines_of(content).size() + lost == 5001);
        log.info("after");
        CHECK(messages_in(drain(read_end.get())) ==
              std::vector<std::string>{std::to_string(lost) + " log lines were lost", "after"});
        CHECK(log.lost() == lost);
    }
}

TEST_CASE("a blocking pipe with room for one page gets a line that fits into it") {
    auto [read_end, write_end] = make_pipe(0);
    const auto size = static_cast<std::size_t>(::fcntl(write_end.get(), F_GETPIPE_SZ));
    const std::string page(4096, '-');
    for (std::size_t filled = page.size(); filled < size; filled += page.size()) {
        REQUIRE(::write(write_end.get(), page.data(), page.size()) == 4096);
    }
    Log log({"master", "", -1});
    log.set_target({std::move(write_end)});
    log.info(std::string(8000, 'x'));
    CHECK(log.lost() == 0);
    CHECK(drain(read_end.get()).ends_with("xxx...\n"));
}

TEST_CASE("a reader that is gone does not stop the process") {
    auto* const before = std::signal(SIGPIPE, SIG_IGN);
    auto [read_end, write_end] = make_pipe(O_NONBLOCK);
    Log log({"master", "", -1});
    log.set_target({std::move(write_end)});
    read_end.reset();
    log.info("lost");
    CHECK(log.lost() == 1);
    std::signal(SIGPIPE, before);
}

TEST_CASE("four processes append to one file: no torn line, none missing") {
    const TemporaryFolder directory;
    const std::string path = directory.file("a.log");
    constexpr int lines_each = 2000;
    std::vector<pid_t> children;
    for (int slot = 0; slot < 4; ++slot) {
        const pid_t child = ::fork();
        if (child == 0) {
            Log log({"worker", "main", slot});
            log.set_target(open_log_target(path));
            for (int i = 0; i < lines_each; ++i) {
                const auto length = static_cast<std::size_t>(i % 300);
                log.info(std::to_string(i) + " " + std::string(length, 'x') + "!");
            }
            ::_exit(log.lost() == 0 ? 0 : 1);
        }
        children.push_back(child);
    }
    for (const pid_t child : children) {
        int status = -1;
        REQUIRE(::waitpid(child, &status, 0) == child);
        CHECK(status == 0);
    }
    std::map<std::string, int> next;
    bool whole = true;
    for (const std::string& line : lines_of(content_of(path))) {
        int slot = -1;
        int pid = -1;
        int number = -1;
        int head = 0;
        const int fields = std::sscanf(line.c_str(), "%*s %*s %*s [info] worker main/%d [%d]: %d %n", &slot,
                                       &pid, &number, &head);
        const std::string rest = line.substr(static_cast<std::size_t>(head));
        const auto length = static_cast<std::size_t>(number % 300);
        whole = whole && fields == 3 && slot >= 0 && slot < 4 && rest == std::string(length, 'x') + "!";
        whole = whole && pid == children[static_cast<std::size_t>(slot)];
        whole = whole && number == next[std::to_string(slot)]++;
        if (!whole) {
            FAIL("torn line: ", line);
        }
    }
    for (int slot = 0; slot < 4; ++slot)
        CHECK(next[std::to_string(slot)] == lines_each);
}

TEST_CASE("standard error that is a socket never blocks and keeps its flags") {
    int pair[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    const UniqueFd reader(pair[0]);
    UniqueFd writer(pair[1]);
    Log log({"master", "", -1});
    {
        const StandardError replaced(writer.get());
        log.set_target(open_log_target("stderr"));
    }
    CHECK_FALSE(is_non_blocking(writer.get()));
    std::uint64_t lines = 0;
    while (log.lost() == 0) {
        log.info(std::string(500, 'x'));
        ++lines;
    }
    log.info("lost");
    CHECK(log.lost() == 2);
    const std::vector<std::string> received = lines_of(drain(reader.get()));
    CHECK(received.size() >= lines - 1);
    log.info("after");
    const std::vector<std::string> messages = messages_in(drain(reader.get()));
    REQUIRE(messages.size() >= 2);
    CHECK(messages[messages.size() - 2] == "2 log lines were lost");
    CHECK(messages.back() == "after");
}
