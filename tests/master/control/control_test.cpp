#include "master/control/control.h"

#include "tests/master/control/control_fixture.h"
#include "tests/support/open_fds.h"

#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include <doctest/doctest.h>
#include <sys/stat.h>

using namespace drover;
using drover::test::count_open_fds;
using drover::test::RawCaller;
using drover::test::status_reply;
using drover::test::status_request;
using Fixture = drover::test::ControlFixture;

TEST_CASE("what changes something is not carried out when its caller has left before it was read") {
    const ControlRequest requests[] = {{.command = "reload"},
                                       {.command = "stop"},
                                       {.command = "quit"},
                                       {.command = "reopen"},
                                       {.command = "workers", .count = 2},
                                       {.command = "restart", .pool = "main", .slot = 0}};
    for (const ControlRequest& request : requests) {
        CAPTURE(request.command);
        const std::string line = control_request_line(request);
        Fixture fixture;
        RawCaller(fixture.path).send(line);
        CHECK(fixture.answers_others());
        CHECK(fixture.requests == std::vector<std::string>{"status"});
        CHECK(fixture.logged().find("is not carried out") != std::string::npos);
        RawCaller patient(fixture.path);
        patient.send(line);
        patient.finish_sending();
        REQUIRE(fixture.until([&] { return fixture.requests.size() == 2; }));
        fixture.server->reply(fixture.last_caller, true, "done");
        CHECK(fixture.until([&] { return patient.ended(); }));
        CHECK(patient.received() == "{\"ok\":true,\"text\":\"done\"}\n");
    }
}

TEST_CASE("a request is answered, and the next one on the same connection too") {
    Fixture fixture;
    RawCaller caller(fixture.path);
    caller.send(status_request);
    REQUIRE(fixture.until([&] { return caller.lines() == 1; }));
    CHECK(caller.received() == status_reply);
    caller.send("{\"command\":\"reopen\"}\n");
    REQUIRE(fixture.until([&] { return fixture.requests.size() == 2; }));
    fixture.server->reply(fixture.last_caller, false, "no \"log\"\n");
    REQUIRE(fixture.until([&] { return caller.lines() == 2; }));
    CHECK(caller.received().ends_with("{\"ok\":false,\"error\":\"no \\\"log\\\"\\n\"}\n"));
    CHECK_FALSE(caller.ended());
}

TEST_CASE("requests sent together are served one after the other") {
    Fixture fixture;
    RawCaller caller(fixture.path);
    caller.send("{\"command\":\"reload\"}\n{\"command\":\"status\"}\n{\"command\":\"status\"}\n");
    REQUIRE(fixture.until([&] { return !fixture.requests.empty(); }));
    fixture.loop.run_once(std::chrono::milliseconds(0));
    CHECK(fixture.requests == std::vector<std::string>{"reload"});
    fixture.server->reply(fixture.last_caller, true, "done");
    REQUIRE(fixture.until([&] { return caller.lines() == 3; }));
    CHECK(fixture.requests == std::vector<std::string>{"reload", "status", "status"});
}

TEST_CASE("the socket is private and goes with the server") {
    Fixture fixture;
    struct stat file {};
    REQUIRE(::stat(fixture.path.c_str(), &file) == 0);
    CHECK(S_ISSOCK(file.st_mode));
    CHECK((file.st_mode & 0777) == 0600);
    fixture.server.reset();
    CHECK(::stat(fixture.path.c_str(), &file) != 0);
}

TEST_CASE("a long answer arrives whole, one beyond the limit is an error") {
    Fixture fixture;
    RawCaller caller(fixture.path);
    caller.send("{\"command\":\"config\"}\n");
    REQUIRE(fixture.until([&] { return fixture.requests.size() == 1; }));
    fixture.server->reply(fixture.last_caller, true, std::string(4'000'000, 'c'));
    REQUIRE(fixture.until([&] { return caller.lines() == 1; }));
    CHECK(caller.received().size() == 4'000'000 + std::string_view("{\"ok\":true,\"text\":\"\"}\n").size());

    caller.send("{\"command\":\"config\"}\n");
    REQUIRE(fixture.until([&] { return fixture.requests.size() == 2; }));
    fixture.server->reply(fixture.last_caller, true, std::string(5'000'000, 'c'));
    REQUIRE(fixture.until([&] { return caller.lines() == 2; }));
    CHECK(caller.received().ends_with("{\"ok\":false,\"error\":\"the answer is too long\"}\n"));
}

TEST_CASE("progress goes to those who asked for it, as long as they wait") {
    Fixture fixture;
    RawCaller quiet(fixture.path);
    quiet.send("{\"command\":\"reload\"}\n");
    REQUIRE(fixture.until([&] { return fixture.requests.size() == 1; }));
    fixture.server->progress(fixture.last_caller, "half");
    fixture.server->reply(fixture.last_caller, true, "done");
    REQUIRE(fixture.until([&] { return quiet.lines() == 1; }));
    CHECK(quiet.received() == "{\"ok\":true,\"text\":\"done\"}\n");

    RawCaller curious(fixture.path);
    curious.send("{\"command\":\"reload\",\"progress\":true}\n");
    REQUIRE(fixture.until([&] { return fixture.requests.size() == 2; }));
    fixture.server->progress(fixture.last_caller, "half");
    fixture.server->reply(fixture.last_caller, true, "done");
    fixture.server->progress(fixture.last_caller, "late");
    fixture.server->reply(fixture.last_caller, true, "twice");
    REQUIRE(fixture.until([&] { return curious.lines() == 2; }));
    CHECK(curious.received() == "{\"progress\":\"half\"}\n{\"ok\":true,\"text\":\"done\"}\n");
}

TEST_CASE("a caller who leaves before his answer is forgotten quietly") {
    Fixture fixture;
    const std::size_t open_before = count_open_fds();
    RawCaller caller(fixture.path);
    caller.send("{\"command\":\"reload\"}\n");
    REQUIRE(fixture.until([&] { return !fixture.requests.empty(); }));
    caller.close();
    CHECK(fixture.until([&] { return count_open_fds() == open_before; }));
    fixture.server->progress(fixture.last_caller, "nobody");
    fixture.server->reply(fixture.last_caller, true, "nobody");
    CHECK(fixture.answers_others());
    CHECK(fixture.logged().empty());
}

TEST_CASE("a caller who ends his side is still answered, then gone") {
    Fixture fixture;
    RawCaller caller(fixture.path);
    caller.send("{\"command\":\"reload\"}\n");
    caller.finish_sending();
    REQUIRE(fixture.until([&] { return !fixture.requests.empty(); }));
    for (int i = 0; i < 3; ++i)
        fixture.loop.run_once(std::chrono::milliseconds(0));
    CHECK_FALSE(caller.ended());
    fixture.server->reply(fixture.last_caller, true, "done");
    REQUIRE(fixture.until([&] { return caller.ended(); }));
    CHECK(caller.received() == "{\"ok\":true,\"text\":\"done\"}\n");

    RawCaller unfinished(fixture.path);
    unfinished.send("{\"command\":\"status\"}");
    unfinished.finish_sending();
    REQUIRE(fixture.until([&] { return unfinished.ended(); }));
    CHECK(unfinished.received().find("newline") != std::string::npos);
}

TEST_CASE("the handler may destroy the server, before or after it answers") {
    for (const bool answer : {false, true}) {
        Fixture fixture;
        RawCaller bystander(fixture.path);
        RawCaller caller(fixture.path);
        fixture.on_each = [&](ControlCaller number) {
            if (answer) fixture.server->reply(number, true, "bye");
            fixture.server.reset();
        };
        caller.send("{\"command\":\"stop\"}\n{\"command\":\"stop\"}\n");
        REQUIRE(fixture.until([&] { return caller.ended() && bystander.ended(); }));
        CHECK(caller.lines() == (answer ? 1 : 0));
        CHECK(fixture.requests.size() == 1);
    }
}

TEST_CASE("an exception of the handler leaves the server usable") {
    Fixture fixture;
    RawCaller caller(fixture.path);
    fixture.on_each = [](ControlCaller) { throw std::runtime_error("handler"); };
    caller.send(status_request);
    CHECK_THROWS_WITH(fixture.until([&] { return caller.ended(); }), "handler");
    fixture.on_each = nullptr;
    CHECK(fixture.answers_others());
}

TEST_CASE("a stale socket is replaced; a live one, another file and a long path are refused") {
    test::TemporaryFolder folder;
    const std::string path = folder.file("control.sock");
    EventLoop loop;
    Log log({.role = "master", .pool = {}});
    const auto make = [&](const std::string& at) {
        return std::make_unique<ControlServer>(loop, log, at, ControlServer::RequestHandler());
    };
    {
        // What a killed master leaves behind: a bound name that nobody listens on.
        const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path.data(), path.size());
        REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    }
    {
        const auto first = make(path);
        CHECK_THROWS_AS(make(path), std::system_error);
        CHECK(RawCaller(path).fd() >= 0);
    }
    test::write_file(path, "precious");
    CHECK_THROWS_AS(make(path), std::system_error);
    CHECK(test::read_file(path) == "precious");

    CHECK_NOTHROW(make(folder.path() + "/" + std::string(107 - folder.path().size() - 1, 's')));
    const std::string too_long = folder.path() + "/" + std::string(108 - folder.path().size() - 1, 's');
    CHECK_THROWS_WITH_AS(make(too_long), doctest::Contains("at most 107 bytes"), std::system_error);
}
