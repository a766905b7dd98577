// Datagrams over a unix socket, of real masters: each is answered whatever the master does with its workers.
#include "core/base/system_error.h"
#include "core/base/unique_fd.h"
#include "core/net/address.h"
#include "tests/support/deadline.h"
#include "tests/support/master_under_test.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

namespace drover::test {
namespace {

// With a name of its own, so that it can be answered, or without.
class UnixgramClient {
  public:
    UnixgramClient(const std::string& server, const std::string& own_path)
        : server_(Address::parse("unixgram:" + server)),
          socket_(check_call(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket")) {
        if (own_path.empty()) return;
        const Address own = Address::parse("unixgram:" + own_path);
        check_call(::bind(socket_.get(), own.data(), own.size()), "bind", own_path);
    }

    // A full queue is waited out.
    void send(std::string_view bytes) const {
        const Deadline deadline;
        while (::sendto(socket_.get(), bytes.data(), bytes.size(), 0, server_.data(), server_.size()) < 0) {
            REQUIRE_MESSAGE(errno == EAGAIN, errno);
            REQUIRE_FALSE(deadline.passed());
            ::sched_yield();
        }
    }
    std::optional<std::string> receive() const {
        pollfd readable{socket_.get(), POLLIN, 0};
        if (::poll(&readable, 1, Deadline().remaining_ms()) != 1) return std::nullopt;
        std::array<char, 65536> buffer;
        const ssize_t size = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
        if (size < 0) return std::nullopt;
        return std::string(buffer.data(), static_cast<std::size_t>(size));
    }
    std::optional<std::string> ask(std::string_view bytes) const {
        send(bytes);
        return receive();
    }

  private:
    Address server_;
    UniqueFd socket_;
};

TestConfig config_with(const std::string& keys, const std::string& body = "first") {
    return {.body = body,
            .pool = "respawn = { delay = \"10ms\", burst = 1000 }\n",
            .rest = "\n[[pool.main.listen]]\naddress = \"unixgram:echo.dgram\"\nmodule = \"echo\"\n" + keys};
}

std::int64_t counted(const MasterUnderTest& master, const std::string& name) {
    return master.status().counters.at(name + "{pool=\"main\",listener=\"unixgram:echo.dgram\"}");
}

// A worker counts a datagram after it has sent it, when its receiver may have read it already.
void wait_counted(MasterUnderTest& master, const std::vector<std::string>& names, std::int64_t expected) {
    const auto sum = [&] {
        std::int64_t all = 0;
        for (const std::string& name : names)
            all += counted(master, name);
        return all;
    };
    master.wait_until("all are counted", [&] { return sum() >= expected; });
    CHECK(sum() == expected);
}

}  // namespace

TEST_CASE("datagrams over a unix socket are answered through reloads, deaths and resizes") {
    MasterUnderTest master(config_with("unix_mode = \"0600\"\n"));
    const std::string path = master.folder().file("echo.dgram");
    struct stat status {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0600);
    const UnixgramClient client(path, master.folder().file("client"));
    CHECK(client.ask("one") == "one");
    CHECK(client.ask(std::string(8192, 'x')) == std::string(8192, 'x'));
    REQUIRE(master.cli({"reload", "--fresh"}).code() == 0);
    CHECK(client.ask("two") == "two");
    const std::vector<pid_t> before = master.worker_pids();
    for (const pid_t pid : before)
        ::kill(pid, SIGKILL);
    CHECK(client.ask("three") == "three");
    master.wait_replaced(before);
    REQUIRE(master.cli({"workers", "1"}).code() == 0);
    CHECK(client.ask("four") == "four");
    master.write_config(config_with("unix_mode = \"0660\"\n"));
    REQUIRE(master.cli({"reload"}).code() == 0);
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0660);
    CHECK(client.ask("five") == "five");
    CHECK(counted(master, "drover_datagrams_received_total") == 6);
    wait_counted(master, {"drover_datagrams_sent_total"}, 6);
    master.finish();
    CHECK(::stat(path.c_str(), &status) != 0);
}

TEST_CASE("a client that does not read its answers, or has no name, holds up nobody") {
    MasterUnderTest master(config_with(""));
    const std::string path = master.folder().file("echo.dgram");
    const UnixgramClient nameless(path, "");
    nameless.send("hello?");
    const UnixgramClient deaf(path, master.folder().file("deaf"));
    for (int i = 0; i < 1000; ++i)
        deaf.send("still there?");
    const UnixgramClient client(path, master.folder().file("client"));
    for (int i = 0; i < 100; ++i)
        CHECK(client.ask(std::to_string(i)) == std::to_string(i));
    master.wait_until("all are counted",
                      [&] { return counted(master, "drover_datagrams_received_total") == 1101; });
    wait_counted(master, {"drover_datagrams_sent_total", "drover_datagram_replies_dropped_total"}, 1101);
    CHECK(counted(master, "drover_datagram_replies_dropped_total") > 1);
    master.finish();
}

}  // namespace drover::test
