// Callers that break the rules.
#include "master/control/control.h"
#include "tests/master/control/control_fixture.h"
#include "tests/support/open_fds.h"
#include "tests/support/skipped.h"

#include <memory>
#include <vector>

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>

using namespace drover;
using drover::test::count_open_fds;
using drover::test::RawCaller;
using drover::test::status_reply;
using drover::test::status_request;
using Fixture = drover::test::ControlFixture;

namespace {

bool refuses(Fixture& fixture, std::string_view bytes, std::string_view reason) {
    RawCaller caller(fixture.path);
    std::size_t sent = 0;
    const bool ended = fixture.until([&] {
        if (sent < bytes.size()) sent += caller.send(bytes.substr(sent));
        return caller.ended();
    });
    const std::string& answer = caller.received();
    CAPTURE(answer);
    return ended && caller.lines() == 1 && answer.starts_with("{\"ok\":false,\"error\":\"") &&
           answer.find(reason) != answer.npos && fixture.requests.empty();
}

std::string padded_request(std::size_t size) {
    std::string line = "{\"command\":\"status\"";
    line.append(size - line.size() - 1, ' ');
    return line + "}\n";
}

}  // namespace

TEST_CASE("what is no request gets one error and the end") {
    Fixture fixture;
    CHECK(refuses(fixture, "garbage\n", "not JSON"));
    CHECK(refuses(fixture, "\n", "not JSON"));
    CHECK(refuses(fixture, "[1]\n", "not a JSON object"));
    CHECK(refuses(fixture, "{}\n", "missing"));
    CHECK(refuses(fixture, "{\"command\":\"dance\"}\n", "unknown command"));
    CHECK(refuses(fixture, std::string("\0\xff\xfe\n", 4), "not JSON"));
    CHECK(refuses(fixture, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "not JSON"));
    CHECK(fixture.answers_others());
}

TEST_CASE("a line of 64 KiB is a request, one byte more is not, with or without its end") {
    Fixture fixture;
    const std::size_t limit = ControlServer::max_line;
    CHECK(refuses(fixture, padded_request(limit + 1), "at most 65536 bytes"));
    CHECK(refuses(fixture, std::string(limit + 1, 'x'), "at most 65536 bytes"));
    CHECK(refuses(fixture, std::string(8 * limit, 'x'), "at most 65536 bytes"));

    RawCaller caller(fixture.path);
    const std::string line = padded_request(limit);
    std::size_t sent = 0;
    REQUIRE(fixture.until([&] {
        if (sent < line.size()) sent += caller.send(std::string_view(line).substr(sent));
        return caller.lines() == 1;
    }));
    CHECK(caller.received() == status_reply);
}

TEST_CASE("a caller who sends one byte at a time is served and holds up nobody") {
    Fixture fixture;
    RawCaller slow(fixture.path);
    for (const char byte : status_request) {
        CHECK(slow.lines() == 0);
        REQUIRE(slow.send({&byte, 1}) == 1);
        fixture.loop.run_once(std::chrono::milliseconds(10));
    }
    REQUIRE(fixture.until([&] { return slow.lines() == 1; }));
    CHECK(slow.received() == status_reply);
    CHECK(fixture.answers_others());
}

TEST_CASE("who owes a line is dropped in the end, however busy; who waits for an answer is not") {
    Fixture fixture(std::chrono::milliseconds(60));
    RawCaller waiting(fixture.path);
    waiting.send("{\"command\":\"reload\"}\n");
    REQUIRE(fixture.until([&] { return fixture.requests.size() == 1; }));
    const ControlCaller waiting_number = fixture.last_caller;

    RawCaller silent(fixture.path);
    RawCaller dripping(fixture.path);
    REQUIRE(fixture.until([&] {
        dripping.send(" ");
        return silent.ended() && dripping.ended();
    }));
    CHECK(silent.received().find("no complete request within 60 ms") != std::string::npos);
    CHECK(dripping.lines() == 1);

    CHECK_FALSE(waiting.ended());
    fixture.server->reply(waiting_number, true, "at last");
    REQUIRE(fixture.until([&] { return waiting.lines() == 1; }));
    CHECK(fixture.until([&] { return waiting.ended(); }));
}

TEST_CASE("a caller who never reads is dropped when too much waits for him") {
    Fixture fixture;
    RawCaller caller(fixture.path);
    caller.send("{\"command\":\"reload\",\"progress\":true}\n");
    REQUIRE(fixture.until([&] { return !fixture.requests.empty(); }));
    const std::size_t open_before = count_open_fds();
    const std::string text(64 * 1024, 'p');
    for (int i = 0; i < 200; ++i)
        fixture.server->progress(fixture.last_caller, text);
    CHECK(count_open_fds() == open_before - 1);
    CHECK(fixture.logged().find("does not read") != std::string::npos);
    REQUIRE(caller.ended());
    CHECK(caller.received().find("\"ok\"") == std::string::npos);
    CHECK(fixture.answers_others());
}

TEST_CASE("a caller who does not read his answer is dropped after a while") {
    Fixture fixture(std::chrono::milliseconds(60));
    RawCaller caller(fixture.path);
    caller.send("{\"command\":\"config\"}\n");
    REQUIRE(fixture.until([&] { return !fixture.requests.empty(); }));
    const std::size_t open_before = count_open_fds();
    fixture.server->reply(fixture.last_caller, true, std::string(1024 * 1024, 'c'));
    CHECK(count_open_fds() == open_before);
    CHECK(fixture.until([&] { return count_open_fds() == open_before - 1; }));
}

TEST_CASE("of 200 silent callers the last 64 are there; those silent longest gave way and are told so") {
    Fixture fixture;
    const std::size_t open_before = count_open_fds();
    {
        std::vector<std::unique_ptr<RawCaller>> callers;
        for (int i = 0; i < 200; ++i) {
            callers.push_back(std::make_unique<RawCaller>(fixture.path));
            fixture.loop.run_once(std::chrono::milliseconds(10));
        }
        const std::size_t first_left = callers.size() - ControlServer::max_callers;
        for (std::size_t i = 0; i < first_left; ++i) {
            REQUIRE(fixture.until([&] { return callers[i]->ended(); }));
            CHECK(callers[i]->received().find("too many callers") != std::string::npos);
        }
        CHECK(fixture.answers_others());
        for (std::size_t i = first_left + 1; i < callers.size(); ++i) {
            callers[i]->send(status_request);
            REQUIRE(fixture.until([&] { return callers[i]->lines() == 1; }));
            CHECK(callers[i]->received() == status_reply);
        }
    }
    CHECK(fixture.until([&] { return count_open_fds() == open_before; }));
    CHECK(fixture.answers_others());
    const std::string log = fixture.logged();
    CHECK(log.find("64 callers") != std::string::npos);
    CHECK(log.find("64 callers") == log.rfind("64 callers"));
}

TEST_CASE("who waits for an answer does not give way") {
    Fixture fixture;
    std::vector<std::unique_ptr<RawCaller>> waiting;
    for (std::size_t i = 0; i < ControlServer::max_callers; ++i) {
        waiting.push_back(std::make_unique<RawCaller>(fixture.path));
        waiting.back()->send("{\"command\":\"reload\"}\n");
        REQUIRE(fixture.until([&] { return fixture.requests.size() == i + 1; }));
    }
    RawCaller other(fixture.path);
    REQUIRE(fixture.until([&] { return other.ended(); }));
    CHECK(other.received().find("too many callers; try again later") != std::string::npos);
    for (const auto& caller : waiting)
        CHECK_FALSE(caller->ended());
}

TEST_CASE("a caller who has closed his sending side and goes while he waits is noticed") {
    Fixture fixture;
    const std::size_t before = count_open_fds();
    {
        RawCaller caller(fixture.path);
        caller.send("{\"command\":\"events\",\"follow\":true}\n");
        caller.finish_sending();
        REQUIRE(fixture.until([&] { return !fixture.requests.empty(); }));
        fixture.loop.run_once(std::chrono::milliseconds(10));  // the end of what he sends
        REQUIRE(fixture.server->knows(fixture.last_caller));
    }
    CHECK(fixture.until([&] { return !fixture.server->knows(fixture.last_caller); }));
    CHECK(count_open_fds() == before);
}

TEST_CASE("descriptors sent along never get in") {
    Fixture fixture;
    RawCaller caller(fixture.path);
    fixture.loop.run_once(std::chrono::milliseconds(100));
    const std::size_t open_before = count_open_fds();

    std::string bytes(status_request);
    iovec piece{.iov_base = bytes.data(), .iov_len = bytes.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(2 * sizeof(int));
    const int fds[2] = {STDIN_FILENO, STDERR_FILENO};
    std::memcpy(CMSG_DATA(header), fds, sizeof fds);
    REQUIRE(::sendmsg(caller.fd(), &message, 0) == static_cast<ssize_t>(bytes.size()));

    REQUIRE(fixture.until([&] { return caller.ended(); }));
    CHECK(caller.received().find("descriptors are not taken") != std::string::npos);
    CHECK(fixture.requests.empty());
    CHECK(count_open_fds() == open_before - 1);
}

TEST_CASE("another user is refused and logged") {
    if (test::lacks_root()) return;
    Fixture fixture;
    REQUIRE(::chmod(fixture.folder.path().c_str(), 0755) == 0);
    REQUIRE(::chmod(fixture.path.c_str(), 0666) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
        if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(2);
        RawCaller caller(fixture.path);
        caller.send(status_request);
        pollfd answer{caller.fd(), POLLIN, 0};
        while (!caller.ended())
            ::poll(&answer, 1, 1000);
        ::_exit(caller.received().find("only root") != std::string::npos ? 0 : 3);
    }
    int status = -1;
    CHECK(fixture.until([&] { return ::waitpid(child, &status, WNOHANG) == child; }));
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
    CHECK(fixture.requests.empty());
    CHECK(fixture.logged().find("uid 65534") != std::string::npos);
}
