#include "core/log.h"
#include "tests/core/log_reading.h"

#include <cstdio>
#include <string>
#include <system_error>

#include <doctest/doctest.h>
#include <sys/stat.h>

using namespace drover;
using namespace drover::test;

namespace {

bool refused(const std::string& target, const std::string& reason) {
    try {
        open_log_file(target);
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
    const UniqueFd fd = open_log_file(path);
    ::umask(umask_before);
    struct stat status;
    REQUIRE(::fstat(fd.get(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0640);
    const int flags = ::fcntl(fd.get(), F_GETFL);
    CHECK((flags & O_APPEND) != 0);
    CHECK((flags & O_ACCMODE) == O_WRONLY);
    CHECK((::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
    REQUIRE(::write(fd.get(), "1", 1) == 1);
    REQUIRE(::write(open_log_file(path).get(), "2", 1) == 1);
    CHECK(content_of(path) == "12");
    CHECK(open_log_file("/dev/null"));
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
        UniqueFd fd = open_log_file("stderr");
        CHECK(is_non_blocking(fd.get()));
        CHECK_FALSE(is_non_blocking(2));
        CHECK((::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
        log.set_file(std::move(fd));
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
    const UniqueFd fd = open_log_file("stderr");
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
    log.set_file(open_log_file("stderr"));
    log.info("1");
    std::fputs("head [0]: 2\n", stderr);
    log.info("3");
    CHECK(messages_in(content_of(path)) == std::vector<std::string>{"1", "2", "3"});
}
