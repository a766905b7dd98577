// A file that is being sent to a slow reader when its worker leaves: the reply goes on from the next one.
#include "tests/support/master_under_test.h"
#include "tests/support/proc.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace drover::test {

namespace {

constexpr std::size_t large_size = 30'000'000;

TestConfig with_files(const std::string& http = "") {
    return {.master = "reload = \"fresh\"\n",
            .rest = http + "[[module.http.route]]\npath = \"/files/\"\nroot = \"public\"\n"};
}

MasterUnderTest::Start with_large_file(const std::string& contents) {
    return {.prepare = [contents](MasterUnderTest& starting) {
        std::filesystem::create_directory(starting.folder().file("public"));
        write_file(starting.folder().file("public/large"), contents);
    }};
}

// The readers have not read on: only because they moved can the old workers go.
void reload_and_wait_for_the_old_to_go(MasterUnderTest& master) {
    const std::vector<pid_t> before = master.worker_pids();
    REQUIRE(master.control("reload").ok);
    master.wait_until("the old workers have gone", [&] {
        const std::vector<pid_t> now = children_of(master.pid());
        return std::ranges::none_of(before,
                                    [&](pid_t pid) { return std::ranges::find(now, pid) != now.end(); });
    });
}

}  // namespace

TEST_CASE("a reload in the middle of a large file loses no byte and keeps no old worker") {
    std::string contents;
    contents.resize(large_size);
    for (std::size_t index = 0; index < contents.size(); ++index)
        contents[index] = static_cast<char>(index * 2654435761U >> 13U);
    TestConfig config = with_files();
    MasterUnderTest master(config, with_large_file(contents));
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
    reload_and_wait_for_the_old_to_go(master);
    for (std::size_t index = 0; index < clients.size(); ++index) {
        StreamClient& stream = clients[index].stream();
        received[index] += stream.read_exactly(contents.size() - received[index].size());
        CHECK((received[index] == contents));
        CHECK(clients[index].get().body == "second");
    }
    master.finish();
}

TEST_CASE("a reply that is handed over in the middle is counted and logged once, where it ends") {
    TestConfig config = with_files(
        "[module.http]\naccess_log = \"access.log\"\naccess_log_format = \"{query} {status} {bytes} "
        "{header:x-mark} {route} {peer} {aborted}\"\n");
    MasterUnderTest master(config, with_large_file(std::string(large_size, 'x')));
    constexpr int count = 8;
    std::vector<HttpClient> clients;
    for (int index = 0; index < count; ++index) {
        const std::string number = std::to_string(index);
        clients.emplace_back(master.http_port());
        clients.back().stream().send("GET /files/large?" + number + " HTTP/1.1\r\nHost: a\r\nX-Mark: m" +
                                     number + (index % 2 == 0 ? "" : "\r\nConnection: close") + "\r\n\r\n");
        CHECK(clients.back().stream().read_until("\r\n\r\n").starts_with("HTTP/1.1 200 OK"));
    }
    reload_and_wait_for_the_old_to_go(master);
    for (HttpClient& client : clients)
        client.stream().read_exactly(10'000);
    // Another time, and once in place.
    reload_and_wait_for_the_old_to_go(master);
    config.master = "";
    config.body = "second";
    master.write_config(config);
    const std::vector<pid_t> workers = master.worker_pids();
    REQUIRE(master.control("reload").ok);
    CHECK(master.worker_pids() == workers);
    // The last two read no further.
    for (int index = 0; index + 2 < count; ++index)
        clients[static_cast<std::size_t>(index)].stream().read_exactly(large_size - 10'000);
    clients.erase(clients.begin() + count - 2, clients.end());

    const auto lines = [&] {
        std::map<int, std::string> by_client;
        std::istringstream log(read_file(master.folder().file("access.log")));
        for (std::string line; std::getline(log, line);) {
            CHECK_MESSAGE(by_client.emplace(line.front() - '0', line).second, line);
        }
        return by_client;
    };
    master.wait_until("all lines", [&] { return lines().size() == count; });
    for (const auto& [client, logged] : lines()) {
        const std::string& line = logged;
        const std::string number = std::to_string(client);
        const std::string end = " m" + number + " /files/ 127.0.0.1 ";
        CAPTURE(line);
        if (client + 2 < count) {
            CHECK(line == number + " 200 " + std::to_string(large_size) + end + "-");
        } else {
            CHECK(line.starts_with(number + " 200 "));
            CHECK(line.ends_with(end + "aborted"));
            const std::size_t sent = std::stoul(line.substr(6));
            CHECK(sent >= 10'000);
            CHECK(sent < large_size);
        }
    }
    const auto counters = master.status().counters;
    const auto total = [&](const std::string& name) { return counters.at("drover_http_" + name); };
    CHECK(total("requests_total{route=\"/files/\"}") == count);
    CHECK(total("responses_total{route=\"/files/\",code=\"2xx\"}") == count - 2);
    CHECK(total("responses_aborted_total{route=\"/files/\"}") == 2);
    // And of what each worker sent nothing is missing.
    master.wait_until("the counters", [&] {
        const auto now = master.status().counters;
        return now.at("drover_sent_bytes_total") ==
               now.at("drover_http_response_bytes_total{route=\"/files/\"}");
    });
    master.finish();
}

}  // namespace drover::test
