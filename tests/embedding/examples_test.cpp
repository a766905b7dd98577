// The examples, each run with its own configuration. DROVER_EXAMPLES says where their programs are: those of
// the build, or those that were built against an installed tree.
#include "tests/support/contains.h"
#include "tests/support/master_under_test.h"
#include "tests/support/proc.h"

#include <cstdlib>
#include <regex>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

namespace drover::test {
namespace {

class Example {
  public:
    explicit Example(const std::string& name)
        : program_(programs() + "/" + name + "/" + name),
          configuration_(
              read_file(std::string(DROVER_SOURCE_DIR) + "/examples/" + name + "/" + name + ".toml")),
          master_({}, {.program = program_, .prepare = [this](MasterUnderTest& master) {
                           CHECK_FALSE(configuration_.empty());
                           write_configuration(master, configuration_);
                       }}) {}

    std::uint16_t port() const { return master_.http_port(); }
    MasterUnderTest& master() { return master_; }
    CommandResult program_command(std::vector<std::string> words) const {
        words.insert(words.begin(), program_);
        return run_command(words);
    }
    // Of the example's own program.
    CommandResult command(std::vector<std::string> words) const {
        words.insert(words.begin(), program_);
        words.insert(words.end(), {"-c", master_.config_path()});
        return run_command(words);
    }
    void change_configuration(const std::string& from, const std::string& to) {
        REQUIRE(configuration_.find(from) != std::string::npos);
        configuration_.replace(configuration_.find(from), from.size(), to);
        write_configuration(master_, configuration_);
    }

  private:
    static std::string programs() {
        const char* folder = std::getenv("DROVER_EXAMPLES");
        REQUIRE_MESSAGE(folder != nullptr, "DROVER_EXAMPLES is not set");
        return folder;
    }
    // The address that the example has may be somebody else's here.
    static void write_configuration(const MasterUnderTest& master, const std::string& text) {
        static const std::regex address(R"(127\.0\.0\.1:900\d\b)");
        master.write_config_text(
            std::regex_replace(text, address, "127.0.0.1:" + std::to_string(master.http_port())));
    }

    std::string program_;
    std::string configuration_;
    MasterUnderTest master_;
};

std::string run(const std::vector<std::string>& words) {
    const CommandResult result = run_command(words, {}, Deadline(std::chrono::seconds(60)));
    CHECK_MESSAGE(result.code() == 0, words.front() << ": " << result.errors);
    return result.output;
}

}  // namespace

TEST_CASE("hello greets, and has the command line of every embedding program") {
    Example hello("hello");
    StreamClient client = StreamClient::connect_tcp(hello.port());
    client.send("Ada\nGra");
    CHECK(client.read_until("\n") == "Hello, Ada!\n");
    client.send("ce\n");
    CHECK(client.read_until("\n") == "Hello, Grace!\n");
    CHECK(hello.command({"check"}).output == "configuration is valid\n");
    CHECK(hello.command({"status"}).output.find("serving") != std::string::npos);
    const CommandResult wrong = hello.command({"relod"});
    CHECK(wrong.code() == 2);
    CHECK(wrong.errors.starts_with("hello: unknown command \"relod\""));
    client.finish_sending();
    CHECK(client.ended());
    CHECK(hello.command({"stop"}).code() == 0);
    hello.master().wait_exit();
    hello.master().verify_clean();
}

TEST_CASE("http_hello answers at once and bit by bit") {
    Example http_hello("http_hello");
    const std::string root = "http://127.0.0.1:" + std::to_string(http_hello.port());
    CHECK(run({"curl", "-sS", root + "/hello?Ada"}) == "Hello, Ada!\n");
    CHECK(run({"curl", "-sS", root + "/hello"}) == "Hello, you!\n");
    CHECK(run({"curl", "-sSN", root + "/countdown?2"}) == "2\n1\nliftoff\n");
    const std::vector<std::string> code = {"curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}"};
    for (const char* path : {"/countdown?", "/countdown?1x", "/countdown?99999999999", "/elsewhere"}) {
        std::vector<std::string> words = code;
        words.push_back(root + path);
        CHECK(run(words) == (std::string(path) == "/elsewhere"    ? "404"
                             : std::string(path) == "/countdown?" ? "200"
                                                                  : "400"));
    }
    SUBCASE("a client that goes in the middle does no harm") {
        HttpClient client(http_hello.port());
        client.stream().send("GET /countdown?1000 HTTP/1.1\r\nHost: a\r\n\r\n");
        client.stream().read_until("1000\n");
    }
    http_hello.master().finish();
}

TEST_CASE("a program of one's own says its name and version, and has the observer without listing it") {
    const ReservedPort observer;
    Example http_hello("http_hello");
    CHECK(http_hello.program_command({"version"}).output == "http_hello 1.4 (drover " DROVER_TEST_VERSION
                                                            ")\n");
    CHECK(contains(http_hello.master().output(), "http_hello 1.4 (drover " DROVER_TEST_VERSION ") starts"));
    CHECK(http_hello.command({"status"}).output.starts_with("http_hello 1.4 (drover "));
    CHECK(contains(http_hello.command({"top", "--once"}).output, "http_hello 1.4 (drover "));
    const nlohmann::json status = nlohmann::json::parse(http_hello.command({"status", "--json"}).output);
    CHECK(status.at("program") == "http_hello");
    CHECK(status.at("program_version") == "1.4");
    CHECK(status.at("version") == DROVER_TEST_VERSION);
    CHECK(command_line_of(http_hello.master().pid()) == "http_hello 1.4: master");
    const std::string worker = command_line_of(http_hello.master().worker_pids().front());
    CHECK(worker == "http_hello 1.4: worker main/0");
    http_hello.change_configuration("[pool.main]",
                                    "[observer]\nlisten = \"" + observer.address() + "\"\n\n[pool.main]");
    CHECK(http_hello.command({"reload"}).code() == 0);
    CHECK(http_get(observer.number(), "/ready").status == 200);
    http_hello.master().finish();
}

TEST_CASE("chat goes on in the new workers of a reload, on the same sockets") {
    Example chat("chat");
    StreamClient ada = StreamClient::connect_tcp(chat.port());
    ada.send("Ada\n");
    CHECK(ada.read_until("\n") == "Welcome, Ada\n");
    StreamClient grace = StreamClient::connect_tcp(chat.port());
    grace.send("Grace\n");
    CHECK(grace.read_until("\n") == "Welcome, Grace\n");
    CHECK(ada.read_until("\n") == "Grace is here\n");
    for (std::uint64_t generation = 2; generation < 5; ++generation) {
        grace.send("half a ");
        REQUIRE(chat.command({"reload", "--fresh"}).code() == 0);
        ada.send("hi\n");
        CHECK(grace.read_until("\n") == "Ada: hi\n");
        grace.send("line\n");
        CHECK(ada.read_until("\n") == "Grace: half a line\n");
        CHECK(chat.master().status().generation == generation);
    }
    grace.finish_sending();
    CHECK(ada.read_until("\n") == "Grace is gone\n");
    CHECK(grace.ended());
    SUBCASE("a line that never ends is not listened to") {
        ada.send(std::string(5000, 'a'));
        CHECK(ada.ended());
    }
    ada.finish_sending();
    CHECK(ada.ended());
    chat.master().finish();
}

TEST_CASE("resp serves redis-cli and redis-benchmark") {
    Example resp("resp");
    const std::string port = std::to_string(resp.port());
    const auto cli = [&](std::vector<std::string> words) {
        words.insert(words.begin(), {"redis-cli", "-p", port});
        return run(words);
    };
    CHECK(cli({"PING"}) == "PONG\n");
    CHECK(cli({"ping", "here"}) == "here\n");
    CHECK(cli({"ECHO", "a b\r\nc"}) == "a b\r\nc\n");
    CHECK(cli({"GET", "key"}) == "\n");
    CHECK(cli({"SET", "key", "value"}) == "OK\n");
    CHECK(cli({"GET", "key"}) == "value\n");
    CHECK(cli({"SET", "key"}).starts_with("ERR "));
    CHECK(cli({"FLUSHALL"}).starts_with("ERR "));

    // What is stored survives a hot reload.
    resp.change_configuration("100000", "1");
    REQUIRE(resp.command({"reload"}).code() == 0);
    CHECK(cli({"GET", "key"}) == "value\n");
    CHECK(cli({"SET", "another", "value"}).starts_with("OOM "));
    CHECK(cli({"SET", "key", "new"}) == "OK\n");
    resp.change_configuration("max_keys = 1", "max_keys = 1000");
    REQUIRE(resp.command({"reload"}).code() == 0);
    CHECK(cli({"GET", "key"}) == "new\n");

    for (const char* pipelined : {"1", "16"}) {
        const std::string report = run({"redis-benchmark", "-p", port, "-t", "ping,set,get", "-n", "20000",
                                        "-c", "20", "-P", pipelined, "--csv", "-r", "100"});
        for (const char* test : {"\"PING_INLINE\"", "\"PING_MBULK\"", "\"SET\"", "\"GET\""})
            CHECK_MESSAGE(report.find(test) != std::string::npos, report);
        CHECK(report.find("rror") == std::string::npos);
    }
    CHECK(resp.command({"status", "--counters"}).output.find("resp_commands_total") != std::string::npos);
    resp.master().finish();
}

TEST_CASE("resp refuses what is not its protocol") {
    Example resp("resp");
    for (const std::string bytes :
         {"*x\r\n", "*1\r\n+5\r\n", "*1\r\n$-1\r\n", "*9\r\n", "*1\r\n$100001\r\n", "*1\r\n$+1\r\n"}) {
        CAPTURE(bytes);
        StreamClient client = StreamClient::connect_tcp(resp.port());
        client.send(bytes);
        CHECK(client.read_until("\r\n") == "-ERR Protocol error\r\n");
        client.finish_sending();
        CHECK(client.ended());
    }
    // Cut at every byte.
    const std::string set = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\na\r\nbc\r\nPING\r\n";
    for (std::size_t cut = 1; cut < set.size(); ++cut) {
        StreamClient client = StreamClient::connect_tcp(resp.port());
        client.send(set.substr(0, cut));
        client.send(set.substr(cut));
        CHECK(client.read_until("+PONG\r\n") == "+OK\r\n+PONG\r\n");
    }
    resp.master().finish();
}

}  // namespace drover::test
