// The access log: opened by the master, given to workers, moved away and opened again under load.
#include "tests/support/http_client.h"
#include "tests/support/master_under_test.h"
#include "tests/support/proc.h"
#include "tests/support/repeater.h"
#include "tests/support/skipped.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <sstream>
#include <vector>

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace drover::test {
namespace {

constexpr int client_count = 4;

std::string log_key(const std::string& path) {
    return "[module.http]\naccess_log = \"" + path + "\"\naccess_log_format = \"common\"\n";
}

// Asks for "/NUMBER/0", "/NUMBER/1", ... until it is told to stop.
std::unique_ptr<Repeater> ask_again_and_again(int number, std::uint16_t port) {
    return std::make_unique<Repeater>([number, port] {
        const auto client = std::make_shared<HttpClient>(port);
        return [client, number](int times) {
            const std::string path = "/" + std::to_string(number) + "/" + std::to_string(times);
            if (client->get(path).status != 200) throw std::runtime_error("not 200");
        };
    });
}

// Counts each request's lines; returns the first line that is none.
std::string take_lines(const std::string& text, std::map<std::string, int>& by_path) {
    if (!text.empty() && text.back() != '\n') return "no end: " + text.substr(text.rfind('\n') + 1);
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        const std::size_t begin = line.find("\"GET ");
        const std::size_t end = line.find(" HTTP/1.1\" 200 ");
        const bool whole = line.starts_with("127.0.0.1 - - [") && begin != std::string::npos &&
                           end != std::string::npos && line.find(" 200 5 ", end) != std::string::npos &&
                           line.ends_with(" -");
        if (!whole) return line;
        ++by_path[line.substr(begin + 5, end - begin - 5)];
    }
    return "";
}

// Whether a process of the service has a file open whose name begins so.
bool is_open(const MasterUnderTest& master, const std::string& name) {
    std::vector<pid_t> pids = children_of(master.pid());
    pids.push_back(master.pid());
    return std::ranges::any_of(pids, [&name](pid_t pid) { return !fds_of(pid, name).empty(); });
}

}  // namespace

TEST_CASE("the access log is moved away and opened anew under load: each request once, no line torn") {
    TestConfig config{.workers = 3, .rest = log_key("access.log")};
    MasterUnderTest master(config);
    const std::string log = master.folder().file("access.log");
    std::vector<std::unique_ptr<Repeater>> askers;
    for (int i = 0; i < client_count; ++i)
        askers.push_back(ask_again_and_again(i, master.http_port()));

    constexpr int moves = 12;
    for (int move = 0; move < moves; ++move) {
        std::filesystem::rename(log, log + "." + std::to_string(move));
        if (move % 2 == 0) {
            master.signal(SIGUSR1);
        } else {
            REQUIRE(master.control("reopen").ok);
        }
        if (move % 4 == 3) {
            config.body = "secon";
            config.master = move % 8 == 3 ? "reload = \"fresh\"\n" : "";
            config.rest = log_key("access.log") + (move % 8 == 3 ? "max_headers = 50\n" : "");
            master.write_config(config);
            REQUIRE(master.control("reload").ok);
        }
        const int seen = askers[0]->times();
        master.wait_until("a new log with lines, and the old one closed", [&] {
            return askers[0]->times() > seen + 20 && !read_file(log).empty() && !is_open(master, log + ".");
        });
    }
    int replies = 0;
    for (const auto& asker : askers) {
        CHECK(asker->stop().empty());
        replies += asker->times();
    }
    std::map<std::string, int> by_path;
    std::string wrong;  // a line that is being written has no end yet
    master.wait_until("all lines", [&] {
        by_path.clear();
        wrong = take_lines(read_file(log), by_path);
        for (int move = 0; move < moves; ++move)
            wrong += take_lines(read_file(log + "." + std::to_string(move)), by_path);
        return by_path.size() == static_cast<std::size_t>(replies);
    });
    CHECK(wrong == "");
    for (const auto& entry : by_path)
        CHECK_MESSAGE(entry.second == 1, entry.first);
    CHECK(master.status().counters.at("drover_http_access_log_lost_total") == 0);
    master.finish();
}

TEST_CASE("a log in a folder that only root may enter works for workers that are nobody") {
    if (lacks_root()) return;
    const auto closed_folder = [](MasterUnderTest& starting) {
        std::filesystem::create_directory(starting.folder().file("logs"));
        REQUIRE(::chmod(starting.folder().file("logs").c_str(), 0700) == 0);
    };
    TestConfig config{.workers = 1, .master = "user = \"nobody\"\n", .rest = log_key("logs/access.log")};
    MasterUnderTest master(config, {.prepare = closed_folder});
    const std::string log = master.folder().file("logs/access.log");
    struct stat status {};
    REQUIRE(::stat(log.c_str(), &status) == 0);
    CHECK(status.st_uid == 0);
    CHECK((status.st_mode & 07777) == 0640);
    master.get("/one");
    master.wait_until("its line", [&] { return read_file(log).find("GET /one") != std::string::npos; });

    std::filesystem::rename(log, log + ".1");
    REQUIRE(master.control("reopen").ok);
    master.get("/two");
    master.wait_until("its line", [&] { return read_file(log).find("GET /two") != std::string::npos; });

    const std::vector<pid_t> workers = master.worker_pids();
    ::kill(workers.front(), SIGKILL);
    master.wait_replaced(workers);
    master.get("/three");
    master.wait_until("its line", [&] { return read_file(log).find("GET /three") != std::string::npos; });
    master.finish();
}

TEST_CASE("another log by a hot reload: the new one is written, the old one is closed") {
    TestConfig config{.rest = log_key("a.log")};
    MasterUnderTest master(config);
    const std::vector<pid_t> workers = master.worker_pids();
    master.get("/one");
    config.rest = log_key("b.log");
    master.write_config(config);
    REQUIRE(master.control("reload").ok);
    CHECK(master.worker_pids() == workers);
    master.get("/two");
    const std::string a = master.folder().file("a.log");
    const std::string b = master.folder().file("b.log");
    master.wait_until("both lines", [&] {
        return read_file(a).find("GET /one") != std::string::npos &&
               read_file(b).find("GET /two") != std::string::npos;
    });
    CHECK(read_file(a).find("GET /two") == std::string::npos);
    master.wait_until("the old one is closed", [&] { return !is_open(master, a); });
    master.finish();
}

TEST_CASE("a reload follows the names of logs, also when nothing else has changed") {
    TestConfig config{.log_file = "drover.log", .rest = log_key("access.log")};
    MasterUnderTest master(config);
    const std::string access = master.folder().file("access.log");
    const std::string log = master.folder().file("drover.log");
    const auto is_in = [](const std::string& path, const std::string& text) {
        return read_file(path).find(text) != std::string::npos;
    };
    for (const std::string& kind : {std::string("unchanged"), std::string("hot")}) {
        CAPTURE(kind);
        std::filesystem::rename(access, access + "." + kind);
        std::filesystem::rename(log, log + "." + kind);
        if (kind == "hot") config.rest += "max_headers = 50\n";
        master.write_config(config);
        const auto answer = master.control("reload");
        REQUIRE_MESSAGE(answer.ok, answer.text);
        master.get("/" + kind);
        master.wait_until("its line", [&] { return is_in(access, "GET /" + kind); });
        CHECK_FALSE(is_in(access + "." + kind, "GET /" + kind));
        master.wait_until("the master's line", [&] { return is_in(log, "log files reopened"); });
        master.wait_until("the old ones are closed", [&] {
            return !is_open(master, access + "." + kind) && !is_open(master, log + "." + kind);
        });
    }
    master.finish();
}

TEST_CASE("a log that cannot be opened refuses the reload, with its place, and changes nothing") {
    TestConfig config{.rest = log_key("access.log")};
    MasterUnderTest master(config);
    const std::vector<pid_t> workers = master.worker_pids();
    const std::size_t fds = count_fds_of(master.pid());
    for (const std::string mode : {"auto", "fresh"}) {
        TestConfig wrong = config;
        wrong.body = "second";
        wrong.master = "reload = \"" + mode + "\"\n";
        wrong.rest = log_key("nowhere/access.log");
        master.write_config(wrong);
        const std::string text = master.config_text(wrong);
        const std::size_t at = text.find("\"nowhere/");
        const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n');
        const ControlReply reply = master.control("reload");
        CHECK_FALSE(reply.ok);
        const std::string expected =
            master.config_path() + ":" + std::to_string(line) + ":14: module.http.access_log: open " +
            master.folder().file("nowhere/access.log") + ": No such file or directory";
        CHECK_MESSAGE(reply.text.find(expected) != std::string::npos, reply.text);
        CHECK(reply.text.find('\n') == std::string::npos);
        CHECK(master.worker_pids() == workers);
        CHECK(master.get() == "first");
        CHECK(count_fds_of(master.pid()) == fds);
        CHECK(std::ranges::is_permutation(children_of(master.pid()), workers));
    }
    // Nor does a reopening that fails.
    std::filesystem::create_directory(master.folder().file("logs"));
    config.rest = log_key("logs/access.log");
    master.write_config(config);
    REQUIRE(master.control("reload").ok);
    std::filesystem::rename(master.folder().file("logs"), master.folder().file("moved"));
    CHECK_FALSE(master.control("reopen").ok);
    master.get("/after");
    master.wait_until("a line in the file that there is", [&] {
        return read_file(master.folder().file("moved/access.log")).find("GET /after") != std::string::npos;
    });
    master.finish();
}

TEST_CASE("a log that cannot be opened at the start is said in one line, with its place") {
    MasterUnderTest master({.rest = log_key("nowhere/access.log")}, {.wait_ready = false});
    const Exit exit = master.wait_exit();
    CHECK(exit.code != 0);
    CHECK(master.output().find(":14: module.http.access_log: open ") != std::string::npos);
    master.verify_clean(exit);
}

TEST_CASE("a client is called by its plain address, whatever listener it came by") {
    if (lacks_ipv6()) return;
    const ReservedPort port;
    const auto ask_from = [](int family, const sockaddr* address, socklen_t size) {
        const UniqueFd client(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const std::string request = "GET /" + std::string(family == AF_INET ? "four" : "six") +
                                    " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        if (!client || ::connect(client.get(), address, size) != 0) return false;
        return ::send(client.get(), request.data(), request.size(), MSG_NOSIGNAL) > 0;
    };
    sockaddr_in6 any{};
    any.sin6_family = AF_INET6;
    any.sin6_addr = in6addr_loopback;
    TestConfig config{.rest = log_key("access.log")};
    config.rest += "[pool.dual]\nworkers = 1\nmodules = [\"http\"]\n[[pool.dual.listen]]\naddress = \"[::]:" +
                   std::to_string(port.number()) + "\"\nmodule = \"http\"\nipv6_only = false\n";
    MasterUnderTest master(config);
    sockaddr_in four{};
    four.sin_family = AF_INET;
    four.sin_port = htons(port.number());
    four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    any.sin6_port = htons(port.number());
    REQUIRE(ask_from(AF_INET, reinterpret_cast<const sockaddr*>(&four), sizeof four));
    REQUIRE(ask_from(AF_INET6, reinterpret_cast<const sockaddr*>(&any), sizeof any));
    const auto has_line = [&](const std::string& peer, const std::string& path) {
        std::istringstream lines(read_file(master.folder().file("access.log")));
        for (std::string line; std::getline(lines, line);)
            if (line.starts_with(peer + " - - [") && line.find("\"GET /" + path) != std::string::npos)
                return true;
        return false;
    };
    master.wait_until("both lines", [&] { return has_line("127.0.0.1", "four") && has_line("::1", "six"); });
    master.finish();
}

}  // namespace drover::test
