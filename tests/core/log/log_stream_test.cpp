// Standard output and error as a log, by whatever name, and what takes the lines that a module gathers.
#include "core/log/log_file.h"
#include "core/log/log_path.h"
#include "tests/core/log/journal_socket.h"
#include "tests/core/log/log_reading.h"
#include "tests/support/contains.h"

#include <cerrno>
#include <climits>
#include <cstdio>
#include <filesystem>
#include <string>
#include <system_error>

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace drover;
using namespace drover::test;

namespace {

LogFile opened(const std::string& name) {
    LogFile file;
    file.replace(open_log_target(name));
    return file;
}

void write_all(LogFile& file, std::string_view lines) {
    while (!lines.empty()) {
        const ssize_t taken = file.write_lines(lines);
        if (taken < 0) return;
        lines.remove_prefix(static_cast<std::size_t>(taken));
    }
}

}  // namespace

TEST_CASE("standard output that is a pipe can be named in many ways, and does not block") {
    const TemporaryFolder folder;
    const std::string link = folder.file("access.log");
    std::filesystem::create_symlink("/dev/stdout", link);
    const std::string again = folder.file("again.log");
    std::filesystem::create_symlink(link, again);
    auto [read_end, write_end] = make_pipe(0);
    const StandardStream replaced(STDOUT_FILENO, write_end.get());
    for (const std::string& name :
         {std::string("stdout"), std::string("/dev/stdout"), std::string("/proc/self/fd/1"),
          std::string("/dev/fd/1"), "/proc/" + std::to_string(::getpid()) + "/fd/1", link, again}) {
        CAPTURE(name);
        const LogTarget target = open_log_target(name);
        CHECK(is_non_blocking(target.fd.get()));
        CHECK_FALSE(is_non_blocking(STDOUT_FILENO));
        CHECK_FALSE(target.moved());
        CHECK(target.name == name);
        LogFile file = opened(name);
        CHECK(file.write_lines("a line\n") == 7);
        CHECK(drain(read_end.get()) == "a line\n");
    }
}

TEST_CASE("standard error by its path, and a link to it") {
    const TemporaryFolder folder;
    const std::string link = folder.file("error.log");
    std::filesystem::create_symlink("/dev/stderr", link);
    auto [read_end, write_end] = make_pipe(0);
    Log log({"master", "", -1});
    {
        const StandardError replaced(write_end.get());
        for (const std::string& name : {std::string("/dev/stderr"), std::string("/proc/self/fd/2"), link}) {
            log.set_target(open_log_target(name));
            log.info(name);
        }
    }
    CHECK(messages_in(drain(read_end.get())) ==
          std::vector<std::string>{"/dev/stderr", "/proc/self/fd/2", link});
}

TEST_CASE("standard output that is a socket or a file is used as it is") {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    const UniqueFd ours(ends[0]);
    const UniqueFd theirs(ends[1]);
    {
        const StandardStream replaced(STDOUT_FILENO, theirs.get());
        LogFile file = opened("/dev/stdout");
        CHECK(file.write_lines("to a socket\n") == 12);
    }
    CHECK(drain(ours.get()) == "to a socket\n");

    const TemporaryFolder folder;
    const UniqueFd regular(::open(folder.file("a").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    const StandardStream replaced(STDOUT_FILENO, regular.get());
    LogFile file = opened("/dev/stdout");
    CHECK(file.write_lines("one\n") == 4);
    REQUIRE(::write(STDOUT_FILENO, "two\n", 4) == 4);
    CHECK(content_of(folder.file("a")) == "one\ntwo\n");
}

TEST_CASE("a FIFO that is not standard output is refused with what takes one") {
    const TemporaryFolder folder;
    const std::string path = folder.file("fifo");
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    try {
        open_log_target(path);
        FAIL("opened");
    } catch (const std::system_error& failure) {
        CHECK(contains(failure.what(), "it is a FIFO; \"fifo:PATH\" takes one"));
    }
    CHECK(open_log_target("fifo:" + path).fd);
}

TEST_CASE("gathered lines go to a pipe as whole ones, as many as it has room for") {
    auto [read_end, write_end] = make_pipe(O_NONBLOCK);
    for (const bool blocks : {false, true}) {
        LogFile file;
        UniqueFd end(::fcntl(write_end.get(), F_DUPFD_CLOEXEC, 0));
        REQUIRE(::fcntl(end.get(), F_SETFL, blocks ? 0 : O_NONBLOCK) == 0);
        file.replace({std::move(end), "stdout"});
        std::string lines;
        for (int number = 0; number < 20'000; ++number)
            lines += "line " + std::to_string(number) + "\n";
        CHECK(file.write_lines(lines) <= PIPE_BUF);
        write_all(file, lines);
        CHECK(errno == EAGAIN);
        const std::string content = drain(read_end.get());
        CHECK(content.size() > 60'000);
        CHECK(content.ends_with("\n"));
    }
}

TEST_CASE("a gathered line that a pipe would tear is cut, marked and taken") {
    auto [read_end, write_end] = make_pipe(O_NONBLOCK);
    for (const bool blocks : {false, true}) {
        LogFile file;
        UniqueFd end(::fcntl(write_end.get(), F_DUPFD_CLOEXEC, 0));
        REQUIRE(::fcntl(end.get(), F_SETFL, blocks ? 0 : O_NONBLOCK) == 0);
        file.replace({std::move(end), "stdout"});
        CHECK(file.line_limit() == PIPE_BUF - 1);  // of a Log's own
        const std::string longest(PIPE_BUF - 1, 'x');
        write_all(file, longest + "\n" + longest + "y\nend\n");
        CHECK(drain(read_end.get()) == longest + "\n" + longest.substr(4) + "...\nend\n");
        // Nothing of it while there is no room, and no half of a character.
        for (errno = 0; errno != EAGAIN;)
            write_all(file, longest + "\n");
        CHECK(file.write_lines(longest + "y\n") == -1);
        CHECK(errno == EAGAIN);
        drain(read_end.get());
        std::string umlauts = "x";
        while (umlauts.size() < PIPE_BUF)
            umlauts += "\xc3\xa4";
        CHECK(file.write_lines(umlauts + "\n") == static_cast<ssize_t>(umlauts.size() + 1));
        CHECK(drain(read_end.get()).ends_with("\xc3\xa4...\n"));
    }
}

TEST_CASE("gathered lines go to a file at once, and to the journal one by one") {
    const TemporaryFolder folder;
    LogFile file = opened(folder.file("a.log"));
    std::string lines;
    for (int number = 0; number < 2000; ++number)
        lines += "line " + std::to_string(number) + "\n";
    CHECK(file.write_lines(lines) == static_cast<ssize_t>(lines.size()));
    CHECK(content_of(folder.file("a.log")) == lines);

    JournalSocket journal(folder.file("journal.sock"));
    LogFile entries = opened("journal:" + folder.file("journal.sock"));
    write_all(entries, "first\nsecond\n");
    const std::vector<JournalFields> taken = journal.take();
    REQUIRE(taken.size() == 2);
    CHECK(taken[0].at("MESSAGE") == "first");
    CHECK(taken[1].at("MESSAGE") == "second");
    CHECK(taken[1].at("PRIORITY") == "6");
    CHECK(taken[1].at("SYSLOG_IDENTIFIER") == program_invocation_short_name);
}
