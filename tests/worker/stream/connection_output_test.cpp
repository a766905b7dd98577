#include "worker/stream/connection_output.h"

#include "core/base/system_error.h"
#include "tests/worker/stream/shared_file.h"
#include "worker/stream/transport.h"

#include <array>
#include <string>

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <sys/socket.h>

using namespace drover;
using drover::test::make_file;

namespace {

// Two ends that hold little, so that everything is sent in many steps.
struct Pair {
    Pair() {
        std::array<int, 2> ends{};
        check_call(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()), "pair");
        near = Transport(UniqueFd(ends[0]));
        far = UniqueFd(ends[1]);
        const int small = 4096;
        ::setsockopt(near.fd(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    }
    void read() {
        std::array<char, 1000> buffer{};
        const ssize_t size = ::recv(far.get(), buffer.data(), buffer.size(), 0);
        if (size > 0) received.append(buffer.data(), static_cast<std::size_t>(size));
    }
    // False when the connection is broken.
    bool send_all(ConnectionOutput& output) {
        for (;;) {
            const ConnectionOutput::Sent sent = output.send(near);
            if (sent == ConnectionOutput::Sent::broken) return false;
            for (std::size_t before = SIZE_MAX; before != received.size();) {
                before = received.size();
                read();
            }
            if (sent == ConnectionOutput::Sent::all) return true;
        }
    }
    Transport near{UniqueFd()};
    UniqueFd far;
    std::string received;
};

std::string text(char letter, std::size_t size) {
    return std::string(size, letter);
}

}  // namespace

TEST_CASE("bytes, files and borrowed bytes leave in order, whatever the socket takes at once") {
    const std::string borrowed = text('b', 30'000);
    const SharedFd file = make_file("skipped" + text('f', 20'000) + "skipped");
    ConnectionOutput output;
    std::string expected;
    for (int round = 0; round < 20; ++round) {
        output.append("head");
        output.append({file, 7, 20'000});
        output.append_borrowed(borrowed);
        output.append_borrowed("");
        output.append("tail");
        output.append({file, 7, 0});
        output.append({file, 7, 1});
        expected += "head" + text('f', 20'000) + borrowed + "tailf";
    }
    CHECK(output.size() == expected.size());
    Pair pair;
    SUBCASE("by itself") {
        REQUIRE(pair.send_all(output));
    }
    SUBCASE("with the rest taken over after some steps") {
        CHECK(output.send(pair.near) == ConnectionOutput::Sent::some);
        const std::uint64_t left = output.size();
        CHECK(left < expected.size());
        const std::unique_ptr<ConnectionOutput> rest = output.take_rest();
        output.clear();
        CHECK(rest->size() == left);
        REQUIRE(pair.send_all(*rest));
    }
    CHECK(output.empty());
    CHECK(pair.received == expected);
    output.append("again");
    REQUIRE(pair.send_all(output));
    CHECK(pair.received == expected + "again");
}

TEST_CASE("more parts than one call takes are sent all the same") {
    ConnectionOutput output;
    std::string expected;
    for (int index = 0; index < 100; ++index) {
        output.append_borrowed("xy");
        if (index % 3 == 0) output.append("z");
        expected += index % 3 == 0 ? "xyz" : "xy";
    }
    Pair pair;
    REQUIRE(pair.send_all(output));
    CHECK(pair.received == expected);
}

TEST_CASE("a file that is shorter than it was breaks the connection") {
    ConnectionOutput output;
    output.append("head");
    output.append({make_file("abc"), 0, 4});
    Pair pair;
    CHECK_FALSE(pair.send_all(output));
    CHECK(pair.received == "headabc");
}

TEST_CASE("a large file leaves in steps") {
    Transport null{UniqueFd(::open("/dev/null", O_WRONLY | O_CLOEXEC))};
    const SharedFd file = make_file("");
    REQUIRE(::ftruncate(file->get(), 3 * ConnectionOutput::max_file_step) == 0);
    ConnectionOutput output;
    output.append({file, 0, 3 * ConnectionOutput::max_file_step});
    CHECK(output.send(null) == ConnectionOutput::Sent::some);
    CHECK(output.size() == 2 * ConnectionOutput::max_file_step);
}

TEST_CASE("what is left is said as bytes and the places of files") {
    ConnectionOutput output;
    output.append("sent already");
    Pair pair;
    REQUIRE(pair.send_all(output));
    const SharedFd file = make_file("abcdef");
    output.append("12");
    output.append_borrowed("345");
    output.append({file, 1, 2});
    output.append("6");
    CHECK(output.unsent_bytes() == "123456");
    const std::vector<ConnectionOutput::Place> files = output.unsent_files();
    REQUIRE(files.size() == 1);
    CHECK(files[0].position == 5);
    CHECK(files[0].range.file == file);
    CHECK(files[0].range.offset == 1);
    CHECK(files[0].range.length == 2);
    pair.received.clear();
    REQUIRE(pair.send_all(output));
    CHECK(pair.received == "12345bc6");
}

TEST_CASE("an output that never gets empty does not grow for ever") {
    Pair pair;
    ConnectionOutput output;
    std::size_t sent = 0;
    for (int round = 0; round < 2000; ++round) {
        while (output.size() < 10'000)
            output.append(text('x', 1000));
        const std::uint64_t before = output.size();
        CHECK(output.send(pair.near) != ConnectionOutput::Sent::broken);
        sent += before - output.size();
        pair.read();
    }
    CHECK(sent > 500'000);
    CHECK(output.unsent_bytes().size() == output.size());
}
