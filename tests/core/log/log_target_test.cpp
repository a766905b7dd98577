#include "core/log/log_target.h"

#include "tests/core/log/journal_socket.h"
#include "tests/core/log/log_reading.h"

#include <cstdio>
#include <memory>
#include <string>
#include <system_error>

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

using namespace drover;
using namespace drover::test;

namespace {

bool refused(const std::string& target, const std::string& reason) {
    try {
        open_log_target(target);
    } catch (const std::system_error& error) {
        INFO(std::string(error.what()));
        const std::string text = error.what();
        return text.find(target) != text.npos && text.find(reason) != text.npos;
    }
    return false;
}

}  // namespace

TEST_CASE("a log file is appended to and made with mode 0640") {
    const TemporaryFolder directory;
    const std::string path = directory.file("a.log");
    const mode_t umask_before = ::umask(0);
    const UniqueFd fd = open_log_target(path).fd;
    ::umask(umask_before);
    struct stat status;
    REQUIRE(::fstat(fd.get(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0640);
    const int flags = ::fcntl(fd.get(), F_GETFL);
    CHECK((flags & O_APPEND) != 0);
    CHECK((flags & O_ACCMODE) == O_WRONLY);
    CHECK((::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
    REQUIRE(::write(fd.get(), "1", 1) == 1);
    REQUIRE(::write(open_log_target(path).fd.get(), "2", 1) == 1);
    CHECK(content_of(path) == "12");
    CHECK(open_log_target("/dev/null").fd);
}

TEST_CASE("what cannot be a log file is refused with the reason") {
    const TemporaryFolder directory;
    const std::string fifo = directory.file("fifo");
    REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
    CHECK(refused(fifo, "it is a FIFO"));
    const UniqueFd reader(::open(fifo.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    CHECK(refused(fifo, "it is a FIFO"));
    CHECK(refused(directory.path(), "it is a directory"));
    CHECK(refused("/dev/full", "it is a device other than"));
    CHECK(refused(directory.file("none/a.log"), "No such file or directory"));
    CHECK(refused("", "No such file or directory"));
}

TEST_CASE("standard error that is a pipe gets a description of its own") {
    auto [read_end, write_end] = make_pipe(0);
    Log log({"master", "", -1});
    {
        const StandardError replaced(write_end.get());
        UniqueFd fd = open_log_target("stderr").fd;
        CHECK(is_non_blocking(fd.get()));
        CHECK_FALSE(is_non_blocking(2));
        CHECK((::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
        log.set_target({std::move(fd)});
    }
    log.info("hello");
    CHECK(messages_in(drain(read_end.get())) == std::vector<std::string>{"hello"});
}

TEST_CASE("standard error that cannot be reopened is used as it is") {
    const TemporaryFolder directory;
    const std::string fifo = directory.file("fifo");
    REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
    UniqueFd reader(::open(fifo.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    const UniqueFd writer(::open(fifo.c_str(), O_WRONLY | O_CLOEXEC));
    reader.reset();  // fifo(7): without a reader it cannot be opened again
    const StandardError replaced(writer.get());
    const UniqueFd fd = open_log_target("stderr").fd;
    REQUIRE(fd);
    CHECK(fd.get() != 2);
    CHECK_FALSE(is_non_blocking(fd.get()));
}

TEST_CASE("standard error that is a file is shared with what else is printed to it") {
    const TemporaryFolder directory;
    const std::string path = directory.file("a.log");
    const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    const StandardError replaced(file.get());
    Log log({"master", "", -1});
    log.set_target(open_log_target("stderr"));
    log.info("1");
    std::fputs("head [0]: 2\n", stderr);
    log.info("3");
    CHECK(messages_in(content_of(path)) == std::vector<std::string>{"1", "2", "3"});
}

TEST_CASE("another process gets a description of its own, and harms nobody's but that") {
    const TemporaryFolder directory;
    const std::string path = directory.file("a.log");
    for (const std::string& name : {path, "fifo:" + directory.file("fifo")}) {
        CAPTURE(name);
        const LogTarget ours = open_log_target(name);
        const UniqueFd theirs = ours.reopen();
        REQUIRE(theirs);
        CHECK((::fcntl(theirs.get(), F_GETFL) & O_ACCMODE) == O_WRONLY);
        CHECK((::fcntl(theirs.get(), F_GETFD) & FD_CLOEXEC) != 0);
        const int flags = ::fcntl(ours.fd.get(), F_GETFL);
        REQUIRE(::fcntl(theirs.get(), F_SETFL, 0) == 0);
        CHECK(::fcntl(ours.fd.get(), F_GETFL) == flags);
    }
    const LogTarget ours = open_log_target(path);
    REQUIRE(::write(ours.fd.get(), "1", 1) == 1);
    REQUIRE(::rename(path.c_str(), directory.file("moved.log").c_str()) == 0);
    REQUIRE(::write(ours.reopen().get(), "2", 1) == 1);
    CHECK(content_of(directory.file("moved.log")) == "12");
}

TEST_CASE("another process gets a connection of its own to the journal") {
    const TemporaryFolder folder;
    const std::string path = folder.file("socket");
    JournalSocket journal(path);
    LogTarget target = open_log_target("journal:" + path);
    const UniqueFd spoiled = target.reopen();
    REQUIRE(::shutdown(spoiled.get(), SHUT_RDWR) == 0);
    Log log({"worker", "main", 0});
    log.set_target({target.reopen(), target.name});
    log.info("theirs");
    Log own({"master", "", -1});
    own.set_target(std::move(target));
    own.info("ours");
    const std::vector<JournalFields> entries = journal.take();
    REQUIRE(entries.size() == 2);
    CHECK(entries[0].at("MESSAGE") == "theirs");
    CHECK(entries[1].at("MESSAGE") == "ours");
}

TEST_CASE("another process that comes while the journal is gone finds it when it is back") {
    const TemporaryFolder folder;
    const std::string path = folder.file("socket");
    auto first = std::make_unique<JournalSocket>(path);
    const LogTarget target = open_log_target("journal:" + path);
    first.reset();
    REQUIRE(::unlink(path.c_str()) == 0);
    Log log({"worker", "main", 0});
    log.set_target({target.reopen(), target.name});
    log.info("lost");
    JournalSocket second(path);
    log.info("found");
    const std::vector<JournalFields> entries = second.take();
    REQUIRE(entries.size() == 2);
    CHECK(entries[0].at("MESSAGE") == "1 log line was lost");
    CHECK(entries[1].at("MESSAGE") == "found");
}

TEST_CASE("standard error that is a datagram socket gets lines, not the journal's entries") {
    const TemporaryFolder folder;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    folder.file("socket").copy(address.sun_path, sizeof address.sun_path - 1);
    const auto* const name = reinterpret_cast<const sockaddr*>(&address);
    const UniqueFd reader(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    REQUIRE(::bind(reader.get(), name, sizeof address) == 0);
    const UniqueFd writer(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    REQUIRE(::connect(writer.get(), name, sizeof address) == 0);
    Log log({"master", "", -1});
    {
        const StandardError replaced(writer.get());
        const LogTarget target = open_log_target("stderr");
        log.set_target({target.reopen(), target.name});
    }
    log.info("hello");
    CHECK(messages_in(drain(reader.get())) == std::vector<std::string>{"hello"});
}

TEST_CASE("what is no log target, whatever is there") {
    for (const char* const name : {"stderr", "journal", "/a", "journal:/a", "fifo:/a"})
        CHECK(log_target_fault(name).empty());
    CHECK(log_target_fault("fifo:") == R"("fifo:" needs a path, such as "fifo:/run/drover.log")");
    CHECK(log_target_fault("journal:") == R"("journal:" needs a path, such as "journal:/run/drover.log")");
    CHECK(log_target_fault("journal:/" + std::string(106, 'x')).empty());
    CHECK(log_target_fault("journal:/" + std::string(107, 'x')) ==
          "the path of a journal's socket has at most 107 bytes, this one 108");
}

TEST_CASE("a log's target: paths of every form start at the configuration's directory") {
    CHECK(absolute_log_target("stderr", "/etc/x") == "stderr");
    CHECK(absolute_log_target("journal", "/etc/x") == "journal");
    CHECK(absolute_log_target("./journal", "/etc/x") == "/etc/x/journal");
    CHECK(absolute_log_target("a.log", "/etc/x") == "/etc/x/a.log");
    CHECK(absolute_log_target("/a.log", "/etc/x") == "/a.log");
    CHECK(absolute_log_target("fifo:../a", "/etc/x") == "fifo:/etc/a");
    CHECK(absolute_log_target("journal:/run/s", "/etc/x") == "journal:/run/s");
    CHECK(absolute_log_target("fifo:", "/etc/x") == "fifo:");
}
