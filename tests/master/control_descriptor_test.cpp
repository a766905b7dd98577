// Answers that bring a descriptor along.
#include "core/packet.h"
#include "tests/master/control_fixture.h"
#include "tests/support/open_fds.h"

#include <array>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

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
            control.server->reply_with(caller, "here", std::array{control.log_file.get()});
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
    control.on_each = [&](ControlCaller caller) {
        control.server->reply_with(caller, "here", std::array{control.log_file.get()});
    };
    {
        RawCaller caller(control.path);
        caller.send(request);
        REQUIRE(control.until([&] { return control.requests.size() == 1; }));
    }
    CHECK(control.until([&] { return count_open_fds() == before; }));
}
