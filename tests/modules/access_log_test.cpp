#include "modules/http/access_log.h"

#include "core/base/system_error.h"
#include "tests/modules/http_server_fixture.h"
#include "tests/support/temporary_folder.h"
#include "worker/module/module_files.h"

#include <array>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

using namespace drover;
using namespace drover::test;
using namespace drover::http;

namespace {

std::string text_of(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
}

std::string log_options(const std::string& path) {
    return "[module.http]\naccess_log = \"" + path + "\"\naccess_log_format = \"common\"\n" + routes;
}

// A log that takes only so much, as nobody reads it.
struct Fifo {
    Fifo() {
        REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
        reader.reset(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    }

    TemporaryFolder folder;
    std::string path = folder.file("fifo");
    UniqueFd reader;
};

std::string thousand_requests() {
    std::string requests;
    for (int index = 0; index < 1000; ++index)
        requests += get;
    return requests;
}

}  // namespace

TEST_CASE("each reply has its line, a refused one, too") {
    const TemporaryFolder folder;
    const std::string path = folder.file("access.log");
    {
        Server server(log_options(path));
        exchange_to_end(server, get + get_close);
        exchange_to_end(server, "HEAD /status HTTP/1.0\r\n\r\n");
        exchange_to_end(server, "nonsense\r\n\r\n");
        exchange_to_end(server,
                        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx");
    }
    std::istringstream lines(text_of(path));
    for (const char* end :
         {"\"GET / HTTP/1.1\" 200 6", "\"GET / HTTP/1.1\" 200 6", "\"HEAD /status HTTP/1.0\" 200 0",
          "\"-\" 400 16", "\"POST / HTTP/1.1\" 405 23"}) {
        std::string found;
        REQUIRE(std::getline(lines, found));
        CHECK(found.starts_with("127.0.0.1 - - ["));
        CHECK_MESSAGE(found.find(std::string(end) + " 0.0") != std::string::npos, found);
        CHECK_MESSAGE(found.ends_with(" -"), found);
    }
    std::string more;
    CHECK_FALSE(std::getline(lines, more));
}

TEST_CASE("a log that is opened anew gets what was not written yet, and each line is in one of the two") {
    const TemporaryFolder folder;
    const std::string path = folder.file("access.log");
    const std::string moved = folder.file("access.log.1");
    Server server(log_options(path));
    exchange_to_end(server, get_close);
    REQUIRE(server.run_until([&] { return !text_of(path).empty(); }));
    std::filesystem::rename(path, moved);
    exchange_to_end(server, get_close);
    server.reopen_files();
    exchange_to_end(server, get_close);
    REQUIRE(server.run_until([&] { return !text_of(path).empty(); }));
    CHECK(occurrences(text_of(moved), "\n") == 1);
    CHECK(occurrences(text_of(path), "\n") == 2);
}

TEST_CASE("a line that an old target has a part of is not ended in the new one, and counts as lost") {
    const TemporaryFolder folder;
    const std::string path = folder.file("access.log");
    Server server(log_options(path));
    std::array<int, 2> ends{};
    constexpr int type = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
    REQUIRE(::socketpair(AF_UNIX, type, 0, ends.data()) == 0);
    const UniqueFd reader(ends[0]);
    server.services().files.put(path, UniqueFd(ends[1]));
    FixtureClient client(server);
    // More than the socket has room for, and less than what may wait.
    const int small = 4096;
    REQUIRE(::setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof small) == 0);
    std::string requests;
    for (int index = 0; index < 25; ++index)
        requests += "GET /?" + std::string(5000, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n";
    REQUIRE(client.send(requests));
    REQUIRE(client.read_bytes(25 * ok_size));
    server.reopen_files();
    REQUIRE(server.run_until([&] { return !text_of(path).empty(); }));
    std::string old(1 << 20, '\0');
    const ssize_t size = ::read(reader.get(), old.data(), old.size());
    REQUIRE(size > 0);
    old.resize(static_cast<std::size_t>(size));
    const std::string fresh = text_of(path);
    CHECK_FALSE(old.ends_with("\n"));
    CHECK(fresh.starts_with("127.0.0.1 - - ["));
    CHECK(occurrences(old, "\n") + occurrences(fresh, "\n") + 1 == 25);
    CHECK(server.count("drover_http_access_log_lost_total") == 1);
}

TEST_CASE("a FIFO is given whole lines alone, which those of other workers do not get between") {
    const Fifo fifo;
    Server server(log_options(fifo.path));
    FixtureClient client(server);
    REQUIRE(client.send(thousand_requests() + thousand_requests()));
    REQUIRE(client.read_bytes(2000 * ok_size));
    std::string taken(1 << 20, '\0');
    const ssize_t size = ::read(fifo.reader.get(), taken.data(), taken.size());
    REQUIRE(size > 60'000);
    CHECK(taken[static_cast<std::size_t>(size) - 1] == '\n');
}

TEST_CASE("a log that takes nothing holds nobody up, and what is lost is counted") {
    const Fifo fifo;
    Server server(log_options(fifo.path));
    FixtureClient client(server);
    const std::string requests = thousand_requests();
    while (server.count("drover_http_access_log_lost_total") == 0) {
        REQUIRE(client.send(requests));
        REQUIRE(client.read_bytes(1000 * ok_size));
        client.take_received();
    }
    CHECK(server.count("drover_http_requests_total") < 20'000);
    // What the FIFO has are whole lines from the first on.
    std::array<char, 4096> buffer{};
    REQUIRE(::read(fifo.reader.get(), buffer.data(), buffer.size()) > 0);
    CHECK(std::string_view(buffer.data(), buffer.size()).starts_with("127.0.0.1 - - ["));
}

TEST_CASE("a line for a pipe is cut within what the client sent: JSON stays JSON") {
    const Fifo fifo;
    Server server("[module.http]\naccess_log = \"" + fifo.path + "\"\naccess_log_format = \"json\"\n" +
                  routes);
    FixtureClient client(server);
    REQUIRE(client.send("GET /?" + std::string(6000, '"') +
                        " HTTP/1.1\r\nHost: h\r\nUser-Agent: " + std::string(1000, '\\') + "\r\n\r\n" + get));
    std::string lines;
    REQUIRE(server.run_until([&] {
        std::array<char, 8192> buffer{};
        const ssize_t size = ::read(fifo.reader.get(), buffer.data(), buffer.size());
        if (size > 0) lines.append(buffer.data(), static_cast<std::size_t>(size));
        return occurrences(lines, "\n") == 2;
    }));
    CHECK(lines.starts_with("{"));
    CHECK(occurrences(lines, "...\"") == 2);  // within the quotes of the target and of the user agent
    CHECK(occurrences(lines, "}\n") == 2);
}

TEST_CASE("a worker that ends waits for a slow reader, and counts what it does not take") {
    const Fifo fifo;
    Server server(log_options(fifo.path));
    {
        FixtureClient client(server);
        REQUIRE(client.send(thousand_requests() + thousand_requests()));
        REQUIRE(client.read_bytes(2000 * ok_size));
    }
    REQUIRE(server.run_until([&] { return server.connection_count() == 0; }));
    std::string taken;
    const auto read_what_comes = [&](int wait_ms) {
        std::array<char, 4096> buffer{};
        pollfd more{fifo.reader.get(), POLLIN, 0};
        while (::poll(&more, 1, wait_ms) == 1) {
            const ssize_t size = ::read(fifo.reader.get(), buffer.data(), buffer.size());
            if (size <= 0 ||
                occurrences(taken.append(buffer.data(), static_cast<std::size_t>(size)), "\n") == 2000)
                return;
        }
    };
    SUBCASE("one that reads") {
        std::thread reader(read_what_comes, 10'000);
        server.module()->stop();
        reader.join();
        CHECK(occurrences(taken, "\n") == 2000);
        CHECK(server.count("drover_http_access_log_lost_total") == 0);
    }
    SUBCASE("one that does not") {
        server.module()->stop();
        read_what_comes(0);
        CHECK(occurrences(taken, "\n") > 0);
        const std::uint64_t lost = server.count("drover_http_access_log_lost_total");
        CHECK(lost > 0);
        CHECK(occurrences(taken, "\n") + lost == 2000);
    }
}
