// A file that is being sent to a slow reader when its worker leaves: the reply goes on from the next one.
#include "tests/support/master_under_test.h"
#include "tests/support/proc.h"

#include <algorithm>
#include <filesystem>

#include <doctest/doctest.h>

namespace drover::test {

TEST_CASE("a reload in the middle of a large file loses no byte and keeps no old worker") {
    std::string contents;
    contents.resize(30'000'000);
    for (std::size_t index = 0; index < contents.size(); ++index)
        contents[index] = static_cast<char>(index * 2654435761U >> 13U);
    TestConfig config{.master = "reload = \"fresh\"\n",
                      .rest = "[[module.http.route]]\npath = \"/files/\"\nroot = \"public\"\n"};
    MasterUnderTest master(config, {.prepare = [&](MasterUnderTest& starting) {
                               std::filesystem::create_directory(starting.folder().file("public"));
                               write_file(starting.folder().file("public/large"), contents);
                           }});
    const std::vector<pid_t> before = master.worker_pids();
    std::vector<HttpClient> clients;
    for (int index = 0; index < 8; ++index) {
        clients.emplace_back(master.http_port());
        clients.back().stream().send("GET /files/large HTTP/1.1\r\nHost: a\r\n\r\n");
        CHECK(clients.back().stream().read_until("\r\n\r\n").starts_with("HTTP/1.1 200 OK"));
    }
    std::vector<std::string> received;
    for (HttpClient& client : clients)
        received.push_back(client.stream().read_exactly(100'000));
    config.body = "second";
    master.write_config(config);
    REQUIRE(master.control("reload").ok);
    // The readers have not read on: only because they moved can the old workers go.
    master.wait_until("the old workers have gone", [&] {
        const std::vector<pid_t> now = children_of(master.pid());
        return std::ranges::none_of(before,
                                    [&](pid_t pid) { return std::ranges::find(now, pid) != now.end(); });
    });
    for (std::size_t index = 0; index < clients.size(); ++index) {
        StreamClient& stream = clients[index].stream();
        received[index] += stream.read_exactly(contents.size() - received[index].size());
        CHECK((received[index] == contents));
        CHECK(clients[index].get().body == "second");
    }
    master.finish();
}

}  // namespace drover::test
