// A FIFO as the log's target, with a real cat at its other end.
#include "tests/core/log/log_reading.h"
#include "tests/support/deadline.h"

#include <array>
#include <climits>
#include <csignal>
#include <string>

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>

using namespace drover;
using namespace drover::test;

namespace {

struct FifoLog {
    TemporaryFolder folder;
    std::string path = folder.file("log");
    Log log{LogIdentity{"master", "", -1}};

    FifoLog() { log.set_target(open_log_target("fifo:" + path)); }
};

// cat of the FIFO; what it prints is read here.
class Cat {
  public:
    explicit Cat(const std::string& path) {
        auto [reading, writing] = make_pipe(0);
        output_ = std::move(reading);
        pid_ = ::fork();
        if (pid_ == 0) {
            ::dup2(writing.get(), 1);
            ::execlp("cat", "cat", path.c_str(), nullptr);
            ::_exit(127);
        }
    }
    ~Cat() { end(); }
    Cat(const Cat&) = delete;
    Cat& operator=(const Cat&) = delete;

    // What has been printed, as soon as it ends with `end`; or after a generous deadline.
    std::string until(std::string_view end) {
        const Deadline deadline;
        while (!text_.ends_with(end) && !deadline.passed()) {
            pollfd readable{output_.get(), POLLIN, 0};
            if (::poll(&readable, 1, deadline.remaining_ms()) != 1) break;
            std::array<char, 65536> buffer{};
            const ssize_t size = ::read(output_.get(), buffer.data(), buffer.size());
            if (size <= 0) break;
            text_.append(buffer.data(), static_cast<std::size_t>(size));
        }
        return text_;
    }
    void end() {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGTERM);
        ::waitpid(pid_, nullptr, 0);
        pid_ = 0;
    }

  private:
    UniqueFd output_;
    pid_t pid_ = 0;
    std::string text_;
};

}  // namespace

TEST_CASE("fifo: made when it is missing, used when it is there, and only a FIFO will do") {
    const TemporaryFolder folder;
    const std::string path = folder.file("log");
    const mode_t umask_before = ::umask(0);
    const UniqueFd first = open_log_target("fifo:" + path).fd;
    ::umask(umask_before);
    struct stat status {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK(S_ISFIFO(status.st_mode));
    CHECK((status.st_mode & 07777) == 0640);
    CHECK(is_non_blocking(first.get()));
    CHECK((::fcntl(first.get(), F_GETFD) & FD_CLOEXEC) != 0);
    CHECK(open_log_target("fifo:" + path).fd);

    const auto refusal = [](const std::string& target) -> std::string {
        try {
            open_log_target(target);
        } catch (const std::system_error& error) {
            return error.what();
        }
        return "none";
    };
    CHECK(refusal("fifo:" + folder.path()).find("it is no FIFO") != std::string::npos);
    CHECK(refusal("fifo:/dev/null").find("it is no FIFO") != std::string::npos);
    CHECK(refusal("fifo:").find("needs a path") != std::string::npos);
    CHECK(refusal("fifo:" + folder.file("none/log")).find("No such file") != std::string::npos);
}

TEST_CASE("fifo: a cat that comes later reads what waits for it, and then what comes") {
    FifoLog fifo;
    fifo.log.info("before anybody reads");
    Cat cat(fifo.path);
    CHECK(messages_in(cat.until("reads\n")) == std::vector<std::string>{"before anybody reads"});
    fifo.log.info("now");
    CHECK(messages_in(cat.until("now\n")).back() == "now");
    CHECK(fifo.log.lost() == 0);
}

TEST_CASE("fifo: a reader that leaves ends nothing, and the next one goes on") {
    FifoLog fifo;
    {
        Cat cat(fifo.path);
        fifo.log.info("one");
        cat.until("one\n");
    }
    fifo.log.info("two");
    Cat next(fifo.path);
    CHECK(messages_in(next.until("two\n")) == std::vector<std::string>{"two"});
    CHECK(fifo.log.lost() == 0);
}

TEST_CASE("fifo: what does not fit is lost and counted; lines are whole, and the loss is told") {
    FifoLog fifo;
    const std::string text(3000, 'x');
    std::size_t written = 0;
    while (fifo.log.lost() < 3 && written < 10'000) {
        fifo.log.info(text);
        ++written;
    }
    REQUIRE(fifo.log.lost() == 3);
    Cat cat(fifo.path);
    cat.until("\n");  // there is room for what comes
    fifo.log.info("end");
    std::size_t whole = 0;
    std::size_t told = 0;
    for (const std::string& line : messages_in(cat.until("end\n"))) {
        const bool tells = line.find(" lost") != std::string::npos;
        if (tells) told += std::stoul(line);
        whole += line == text ? 1U : 0U;
        CHECK_MESSAGE((tells || line == text || line == "end"), line.substr(0, 100));
    }
    CHECK(told == 3);
    CHECK(whole == written - 3);
    CHECK(fifo.log.lost() == 3);
}

TEST_CASE("fifo: lines stay below PIPE_BUF, so that no two processes mix theirs") {
    FifoLog fifo;
    Cat cat(fifo.path);
    fifo.log.info(std::string(8000, 'x'));
    const std::string line = cat.until("\n");
    CHECK(line.size() < PIPE_BUF);
    CHECK(line.ends_with("...\n"));
}
