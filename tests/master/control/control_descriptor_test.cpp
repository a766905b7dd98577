// Answers that bring a descriptor along.
#include "core/protocol/channel.h"
#include "core/protocol/packet.h"
#include "tests/master/control/control_fixture.h"
#include "tests/support/in_child.h"
#include "tests/support/open_fds.h"

#include <array>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace drover;
using namespace drover::test;

namespace {

struct Received {
    std::string text;
    std::vector<UniqueFd> fds;
};

// Descriptors come with the first byte of what was sent with them, and end what one call receives.
Received receive(const RawCaller& caller) {
    std::array<std::byte, 4096> buffer;
    ReceivedPacket packet = receive_packet(caller.fd(), buffer);
    if (packet.result != PacketReceived::received) return {};
    return {.text{reinterpret_cast<const char*>(buffer.data()), packet.size}, .fds = std::move(packet.fds)};
}

ino_t inode_of(int fd) {
    struct stat status {};
    REQUIRE(::fstat(fd, &status) == 0);
    return status.st_ino;
}

const std::string request = "{\"command\":\"counters\"}\n";
const std::string answer = "{\"ok\":true,\"text\":\"here\"}\n";

}  // namespace

TEST_CASE("a descriptor comes with the answer's first byte, once, and to nobody else") {
    ControlFixture control;
    control.on_each = [&](ControlCaller caller) {
        if (control.requests.back() == "counters")
            control.answer_with_descriptor(caller);
        else
            control.server->reply(caller, true, "fine");
    };
    RawCaller caller(control.path);
    caller.send(std::string(status_request) + request + std::string(status_request));
    std::vector<Received> all;
    REQUIRE(control.until([&] {
        Received received = receive(caller);
        if (!received.text.empty()) all.push_back(std::move(received));
        std::string text;
        for (const Received& each : all)
            text += each.text;
        return text == std::string(status_reply) + answer + std::string(status_reply);
    }));
    std::size_t fds = 0;
    for (const Received& each : all) {
        fds += each.fds.size();
        if (each.fds.empty()) continue;
        CHECK(each.text.front() == answer.front());
        CHECK(answer.starts_with(each.text));
        CHECK(inode_of(each.fds[0].get()) == inode_of(control.log_file.get()));
    }
    CHECK(fds == 1);
}

TEST_CASE("a caller who leaves without his descriptor leaves none behind") {
    ControlFixture control;
    const std::size_t before = count_open_fds();
    control.on_each = [&](ControlCaller caller) { control.answer_with_descriptor(caller); };
    {
        RawCaller caller(control.path);
        caller.send(request);
        REQUIRE(control.until([&] { return control.requests.size() == 1; }));
    }
    CHECK(control.until([&] { return count_open_fds() == before; }));
}

TEST_CASE("a caller who does not read what brings descriptors along gets no more of it before he does") {
    ControlFixture control;
    control.on_each = [&](ControlCaller caller) { control.answer_with_descriptor(caller); };
    RawCaller caller(control.path);
    std::size_t answered = 0;
    for (int i = 0; i < 5; ++i)
        caller.send(request);
    REQUIRE(control.until([&] { return !control.requests.empty(); }));
    RawCaller other(control.path);
    other.send(request);
    REQUIRE(control.until([&] { return control.requests.size() == 2 && !receive(other).fds.empty(); }));
    CHECK(control.requests.size() == 2);
    REQUIRE(control.until([&] {
        answered += receive(caller).fds.size();
        return answered == 5;
    }));
}

TEST_CASE("a caller waits while too many descriptors are under way, and gets his answer") {
    // Only an unprivileged sender is limited (unix(7), ETOOMANYREFS): hence a user of our own.
    in_child([] {
        if (::getuid() == 0 &&
            (::setgroups(0, nullptr) != 0 || ::setuid(static_cast<uid_t>(20'000 + ::getpid() % 40'000)) != 0))
            return 1;
        const rlimit limit{.rlim_cur = 100, .rlim_max = 100};
        if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 2;
        ControlFixture control;
        control.on_each = [&](ControlCaller caller) {
            if (control.requests.back() == "counters") return control.answer_with_descriptor(caller);
            control.server->reply(caller, true, "fine");
        };
        RawCaller caller(control.path);
        auto [here, there] = Channel::make_pair();
        const std::array fds{STDERR_FILENO};
        const std::array byte{std::byte{1}};
        while (send_packet(here.get(), byte, {}, fds) == PacketSent::sent) {
        }
        caller.send(request);
        if (!control.until([&] { return control.requests.size() == 1; })) return 3;
        if (!control.answers_others() || caller.ended()) return 4;
        there.reset();
        Received received;
        const bool got = control.until([&] {
            received = receive(caller);
            return !received.fds.empty();
        });
        return got ? 0 : 5;
    });
}

TEST_CASE("a request for which the machine lacks something is handled again, and answered in the end") {
    ControlFixture control;
    bool lacks = true;
    bool may_ask = true;
    control.on_each = [&](ControlCaller caller) {
        if (!lacks) return control.server->reply(caller, true, "fine");
        may_ask = control.server->ask_again(caller);
        if (!may_ask) control.server->reply(caller, false, "nothing is free");
    };
    RawCaller patient(control.path);
    patient.send(status_request);
    REQUIRE(control.until([&] { return control.requests.size() == 3; }));
    lacks = false;
    REQUIRE(control.until([&] { return patient.received() == status_reply; }));
    lacks = true;
    patient.send(status_request);
    REQUIRE(control.until([&] { return patient.lines() == 2; }));
    CHECK_FALSE(may_ask);
    CHECK(patient.received().ends_with("{\"ok\":false,\"error\":\"nothing is free\"}\n"));
}
