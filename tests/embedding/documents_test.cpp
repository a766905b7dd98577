// What README.md and docs/ show, taken out of them and tried with the installed tree: programs are built and
// asked, configurations are checked, commands are run, talks with a master are held again. Snippets that
// stand in a file of documents/ are built there; the others are named in `tried_by`.
#include "tests/support/contains.h"
#include "tests/support/document.h"
#include "tests/support/master_under_test.h"
#include "tests/support/udp_client.h"

#include <filesystem>
#include <regex>
#include <set>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

namespace drover::test {
namespace {

namespace fs = std::filesystem;

const std::string prefix = DROVER_PREFIX;
const std::string program = prefix + "/bin/drover";
const fs::path projects = fs::path(DROVER_SOURCE_DIR) / "tests/embedding/documents";

const Snippets& documents() {
    static const Snippets snippets = all_snippets();
    return snippets;
}

// Which test case of this file, or else which check, tries a snippet that no project has.
const std::map<std::string, std::string> tried_by = {
    {"README.md # Drover # 1", "a drawing"},
    {"README.md # Two commands # 1", "./dev test runs this"},
    {"README.md # Two commands # 2", "the demo server"},
    {"README.md # Command line # 1", "the command line"},
    {"README.md # Configuration # 1", "configurations"},
    {"README.md # Seeing what it does # 1", "configurations"},
    {"docs/cli.md # Control socket # 1", "talks"},
    {"docs/cli.md # Control socket # 2", "talks"},
    {"docs/cli.md # Control socket # 3", "talks"},
    {"docs/configuration.md # Where the keys are # 1", "the reference"},
    {"docs/configuration.md # Refused # 1", "findings"},
    {"docs/embedding.md # The library # 1", "packages"},
    {"docs/embedding.md # The library # 2", "building the library"},
    {"docs/embedding.md # The library # 4", "pkg-config"},
    {"docs/embedding.md # The first server # 1", "the first server"},
    {"docs/observer.md # Prometheus and Grafana # 1", "promtool"},
};

std::string shell(const std::string& command, const std::string& folder = "/") {
    const std::string line = "cd " + folder + " && export PATH=" + prefix +
                             "/bin:$PATH CMAKE_PREFIX_PATH=" + prefix +
                             " CXX=" DROVER_COMPILER " CXXFLAGS=-O0 && " + command;
    const CommandResult result = run_command({"bash", "-ec", line}, {}, Deadline(std::chrono::seconds(180)));
    CHECK_MESSAGE(result.code() == 0, command << ": " << result.output << result.errors);
    return result.output;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
    REQUIRE_MESSAGE(contains(text, from), from << " is not in " << text);
    for (std::size_t at = text.find(from); at != text.npos; at = text.find(from, at + to.size()))
        text.replace(at, from.size(), to);
    return text;
}

// A project of documents/, built in a folder of its own.
class Project {
  public:
    explicit Project(const std::string& name) : name_(name) {
        write_project(projects / name, folder_.file(name), documents());
        shell("cmake -S " + folder_.file(name) + " -B " + build() + " && cmake --build " + build());
    }

    std::string build() const { return folder_.file("build"); }
    std::string built() const { return build() + "/" + name_; }  // a program of the project's name
    std::string file(const std::string& file) const { return read_file(folder_.file(name_) + "/" + file); }

  private:
    std::string name_;
    TemporaryFolder folder_;
};

// Serves `configuration`, whose address 127.0.0.1:9000 becomes a free one.
MasterUnderTest::Start serve(const std::string& served, const std::string& configuration,
                             std::vector<std::string> environment = {}) {
    return {.program = served,
            .environment = std::move(environment),
            .prepare = [configuration](MasterUnderTest& master) {
                master.write_config_text(replaced(configuration, "127.0.0.1:9000",
                                                  "127.0.0.1:" + std::to_string(master.http_port())));
            }};
}

std::string talk(StreamClient client, std::string_view line) {
    client.send(line);
    return client.read_until("\n");
}

}  // namespace

TEST_CASE("every snippet of the documents is tried by a test") {
    std::set<std::string> tried;
    for (const auto& entry : fs::recursive_directory_iterator(projects)) {
        if (!entry.is_regular_file()) continue;
        std::istringstream frame(read_file(entry.path().string()));
        for (std::string line; std::getline(frame, line);)
            if (const std::string name = snippet_name(line); !name.empty()) tried.insert(name);
    }
    for (const auto& [name, test] : tried_by)
        tried.insert(name);
    for (const auto& [key, snippet] : documents()) {
        const std::string& name = key;
        CHECK_MESSAGE((tried.contains(name) || snippet.language == "toml"), "no test tries " << name);
    }
    for (const std::string& name : tried)
        CHECK_MESSAGE(documents().contains(name), "no document has " << name);
}

TEST_CASE("configurations that the documents show are valid") {
    const TemporaryFolder folder;
    const std::string least = documents().at("README.md # Configuration # 1").text;
    for (const auto& [key, snippet] : documents()) {
        const std::string& name = key;
        // The modules of these are the reader's own.
        const bool own_module = contains(snippet.text, "hello") || contains(snippet.text, "parrot");
        if (snippet.language != "toml" || own_module) continue;
        const bool whole = contains(snippet.text, "[pool.main]");
        // The folders of an installed service need not be here.
        const std::string text =
            std::regex_replace(snippet.text, std::regex("/var/log/drover"), folder.path());
        write_file(folder.file("drover.toml"), text + (whole ? "" : "\n" + least));
        const CommandResult checked = run_command({program, "check", "-c", folder.file("drover.toml")});
        CHECK_MESSAGE(checked.output == "configuration is valid\n", name << ": " << checked.errors);
    }
}

TEST_CASE("README's first module is the example hello, and greets") {
    const Project hello("hello");
    CHECK(hello.file("hello.cpp") == read_file(DROVER_SOURCE_DIR "/examples/hello/hello.cpp"));
    MasterUnderTest master({}, serve(hello.built(), hello.file("hello.toml")));
    CHECK(talk(StreamClient::connect_tcp(master.http_port()), "Ada\n") == "Hello, Ada!\n");
    master.finish();
}

TEST_CASE("handlers answer as the documents say") {
    const Project handlers("my_server");
    for (const char* which : {"FIRST=1", "SECOND=1"}) {
        MasterUnderTest master({}, serve(handlers.built(), handlers.file("my_server.toml"), {which}));
        const HttpReply reply = http_get(master.http_port(), "/hello?Ada");
        CHECK(reply.body == "Hello, Ada\n");
        CHECK(contains(reply.head, "Content-Type: text/plain"));
        master.finish();
    }
}

TEST_CASE("the pieces of modules.md work together") {
    const Project pieces("pieces");
    MasterUnderTest master({}, serve(pieces.built(), pieces.file("pieces.toml")));
    const auto connect = [&](const std::string& name) {
        return StreamClient::connect_unix(master.folder().file(name + ".sock"));
    };
    CHECK(contains(shell(pieces.built() + " help config"),
                   "A connection on which nothing comes for this long"));
    const UdpClient datagrams(Address::parse("udp:127.0.0.1:" + std::to_string(master.http_port())));
    datagrams.send("ping");
    CHECK(datagrams.receive() == "ping");
    CHECK(talk(connect("echo"), "12345\n") == "12345\n");
    CHECK(master.status().counters.at("echo_bytes_total") == 6);

    CHECK(connect("visits").ended());
    master.wait_until("a line for a visit",
                      [&] { return read_file(master.folder().file("visits.log")) == "a visit\n"; });
    CHECK(master.status().counters.at("visits_lost_total") == 0);

    StreamClient guest = connect("chat");
    guest.send("1\n");
    CHECK(guest.read_until("\n") == "hello\n");
    CHECK(run_command({pieces.built(), "reload", "--fresh", "-c", master.config_path()}).code() == 0);
    guest.send("2\n");
    CHECK(guest.read_until("\n") == "again\n");
    guest.finish_sending();
    CHECK(guest.ended());
    master.finish();
}

TEST_CASE("a module in a file is loaded by the server and by a program of one's own") {
    const Project parrot("parrot");
    const Project loader("loader");
    for (const std::string& server : {program, loader.build() + "/my_server"}) {
        MasterUnderTest::Start start = serve(server, parrot.file("parrot.toml"));
        start.prepare = [&, prepare = start.prepare](MasterUnderTest& master) {
            fs::create_directory(master.folder().file("lib"));
            fs::copy(parrot.build() + "/parrot.so", master.folder().file("lib/parrot.so"));
            prepare(master);
        };
        MasterUnderTest master({}, start);
        CHECK(talk(StreamClient::connect_tcp(master.http_port()), "Ahoy\n") == "Ahoy\n");
        master.finish();
    }
}

TEST_CASE("an observer of one's own is told events, status and figures") {
    const Project observer("observer");
    MasterUnderTest master({}, serve(observer.built(), observer.file("observer.toml")));
    master.wait_output("\"event\":\"start\"");
    const std::string told = StreamClient::connect_tcp(master.http_port()).read_to_end();
    CHECK(told.starts_with("answered "));
    CHECK(std::stoul(told.substr(told.find(' '))) > 10);  // figures
    CHECK(nlohmann::json::parse(told.substr(told.find('\n'))).at("generation") == 1);
    master.finish();
}

TEST_CASE("counters are read as observability.md shows") {
    const Project figures("figures");
    MasterUnderTest master;
    CHECK(master.get() == "first");
    CHECK(contains(shell(figures.built(), master.folder().path()), "drover_connections_accepted_total 1\n"));
    master.finish();
}

// "drover reload  [-c FILE] [--fresh]  what it does": the words before the text, without what may be left
// out.
TEST_CASE("the command line that README lists is there, and does it") {
    MasterUnderTest master({}, {.program = program});
    std::map<std::string, std::string> arguments = {
        {"workers", "3"}, {"worker", "restart main/0"}, {"new", "my_app"}};
    std::set<std::string> listed;
    for (const std::string& line : documents().at("README.md # Command line # 1").lines()) {
        std::smatch parts;
        if (!std::regex_search(line, parts, std::regex("^drover ([a-z]+)"))) continue;
        const std::string command = parts[1];
        listed.insert(command);
        if (command == "run" || command == "stop" || command == "quit" || command == "version") continue;
        const bool asks = command != "new";
        const std::string words =
            command + " " + arguments[command] + (asks ? " -c " + master.config_path() : std::string());
        if (command != "top") shell("drover " + words, master.folder().path());
        static const std::regex option("\\[(--?[a-z]+)\\]");
        for (std::sregex_iterator flag(line.begin(), line.end(), option), end; flag != end; ++flag)
            if ((*flag)[1] != "-f") shell("drover " + words + " " + (*flag)[1].str(), master.folder().path());
    }
    listed.insert("help");
    for (const std::string topic : {"config", "metrics", "schema", "completion", "manual", "config-manual"})
        CHECK_FALSE(shell("drover help " + topic).empty());
    CHECK(shell("drover version") == "drover " DROVER_TEST_VERSION "\n");
    // README leaves out no command of the program's.
    std::istringstream help(shell("drover help"));
    bool commands = false;
    for (std::string line; std::getline(help, line) && !line.starts_with("Options");) {
        if (commands && line.size() > 2)
            CHECK_MESSAGE(listed.contains(line.substr(2, line.find(' ', 2) - 2)), line);
        if (line == "Commands:") commands = true;
    }
    shell("drover stop -c " + master.config_path());
    master.wait_exit();
    master.verify_clean();
}

TEST_CASE("the demo server answers as README asks it") {
    std::string demo;
    const ReservedPort echo;
    const ReservedPort observer;
    MasterUnderTest master({}, {.program = program, .prepare = [&](MasterUnderTest& made) {
                                    demo = read_file(DROVER_SOURCE_DIR "/conf/demo.toml");
                                    demo = replaced(demo, "127.0.0.1:8080",
                                                    "127.0.0.1:" + std::to_string(made.http_port()));
                                    demo = replaced(demo, "127.0.0.1:8081", echo.address());
                                    demo = replaced(demo, "127.0.0.1:9180", observer.address());
                                    made.write_config_text(replaced(demo, "../run", "run"));
                                }});
    CHECK(master.get() == "Hello, world\n");
    CHECK(contains(master.get("/status"), "\"generation\""));
    CHECK(talk(StreamClient::connect_tcp(echo.number()), "echo\n") == "echo\n");
    CHECK(http_get(observer.number(), "/ready").status == 200);
    for (std::string line : documents().at("README.md # Two commands # 2").lines()) {
        line = replaced(line, "build/release/drover", "drover");
        CHECK_FALSE(shell(replaced(line, "conf/demo.toml", master.config_path())).empty());
    }
    master.finish();
}

TEST_CASE("the packages that embedding.md names are those that ./dev installs to build") {
    const std::string dev = read_file(DROVER_SOURCE_DIR "/dev");
    std::smatch found;
    REQUIRE(std::regex_search(dev, found, std::regex("build_packages=\\(([^)]*)\\)")));
    std::istringstream words(found[1].str() + " node-llhttp");
    std::string expected = "apt-get install";
    for (std::string word; words >> word;)
        expected += " " + word;
    CHECK(documents().at("docs/embedding.md # The library # 1").text == expected + "\n");
}

// The commands as they stand, but for the folder; of the build the list of its steps is enough, as the tree
// of this very test was built from the same.
TEST_CASE("building the library as embedding.md shows builds the library and the program alone") {
    const TemporaryFolder folder;
    const std::vector<std::string> lines = documents().at("docs/embedding.md # The library # 2").lines();
    REQUIRE(lines.size() == 3);
    const std::string build = folder.file("install");
    shell(replaced(lines[0], "build/install", build), DROVER_SOURCE_DIR);
    const std::string steps =
        shell(replaced(lines[1], "build/install", build) + " -- -t commands all", DROVER_SOURCE_DIR);
    CHECK(contains(steps, " -o drover "));
    CHECK(contains(steps, " libdrover.a "));
    CHECK_FALSE(contains(steps, "/tests/"));
    CHECK(contains(lines[2],
                   "cmake --install build/install --prefix "));  // tests/embedding/prepare.cmake runs it
}

TEST_CASE("a compiler and pkg-config make a program that finds its library") {
    const TemporaryFolder folder;
    fs::copy(DROVER_SOURCE_DIR "/examples/hello/hello.cpp", folder.file("hello.cpp"));
    const std::string config = shell("dirname $(find " + prefix + " -name drover.pc)");
    shell("export PKG_CONFIG_PATH=" + config.substr(0, config.size() - 1) + "; " +
              documents().at("docs/embedding.md # The library # 4").text,
          folder.path());
    CHECK(contains(shell("./hello help", folder.path()), "Usage: hello COMMAND"));
}

TEST_CASE("find_package asks nothing of the program's minimum version of CMake") {
    const TemporaryFolder folder;
    for (const char* minimum :
         {"", "cmake_minimum_required(VERSION 2.8.12)\n", "cmake_minimum_required(VERSION 3.1)\n"}) {
        write_file(folder.file("CMakeLists.txt"),
                   std::string(minimum) +
                       "project(p CXX)\nfind_package(drover REQUIRED)\n"
                       "add_executable(hello " DROVER_SOURCE_DIR
                       "/examples/hello/hello.cpp)\n"
                       "target_link_libraries(hello PRIVATE drover::drover)\n");
        CHECK_MESSAGE(contains(shell("cmake -S . -B build --fresh", folder.path()), "Generating done"),
                      std::string(minimum));
    }
}

TEST_CASE("the first server is written, built, tested and checked as embedding.md shows") {
    const TemporaryFolder folder;
    for (const std::string& line : documents().at("docs/embedding.md # The first server # 1").lines()) {
        const bool serves = contains(line, " run ");
        shell(serves ? replaced(line, " run ", " check ") : line, folder.path());
    }
}

TEST_CASE("the reference and the findings of a check are as configuration.md shows them") {
    CHECK(contains(shell("drover help config"),
                   documents().at("docs/configuration.md # Where the keys are # 1").text));
    const TemporaryFolder folder;
    const std::string file = folder.file("drover.toml");
    write_file(file,
               "[pool.main]\nmodules = [\"http\"]\n\nworkers = 0\n\n[[pool.main.listen]]\n"
               "address = \"127.0.0.1:8080\"\nmodule = \"http\"\n\n[[module.http.route]]\npath = \"/\"\n"
               "return = { body = \"It works.\" }\npat = \"/\"\n");
    std::string expected;
    for (const std::string& line : documents().at("docs/configuration.md # Refused # 1").lines())
        expected += replaced(line, "/etc/drover/drover.toml", file) + "\n";
    CHECK(run_command({program, "check", "-c", file}).errors == expected);
}

// Lines "> request" and "< answer"; "..." stands for what is left out.
TEST_CASE("a master talks as cli.md shows") {
    MasterUnderTest master({.workers = 1});
    CHECK(master.cli({"workers", "1"}).code() == 0);
    for (const auto& [key, test] : tried_by) {
        const std::string& name = key;
        if (test != "talks") continue;
        std::unique_ptr<StreamClient> client;
        for (const std::string& line : documents().at(name).lines()) {
            if (line.starts_with("> ")) {
                client = std::make_unique<StreamClient>(StreamClient::connect_unix(master.control_path()));
                client->send(line.substr(2) + "\n");
                continue;
            }
            const std::string answer = client->read_until("\n");
            // What is there another day: numbers, times, the file, the sentence after a reload.
            std::string pattern =
                std::regex_replace(line.substr(2), std::regex(R"([\\^$.|?*+()\[\]{}])"), "\\$&");
            pattern = std::regex_replace(pattern, std::regex(R"(\\\.\\\.\\\.)"), ".*");
            pattern = std::regex_replace(pattern, std::regex(R"(/etc/drover/drover\\\.toml)"), ".*");
            pattern = std::regex_replace(pattern, std::regex(R"(\d+)"), "\\d+");
            CHECK_MESSAGE(std::regex_search(answer, std::regex(pattern)),
                          name << ": " << pattern << " is not " << answer);
        }
    }
    master.finish();
}

TEST_CASE("Prometheus takes the configuration that observer.md shows") {
    const TemporaryFolder folder;
    write_file(folder.file("prometheus.yml"),
               documents().at("docs/observer.md # Prometheus and Grafana # 1").text);
    CHECK(contains(shell("promtool check config " + folder.file("prometheus.yml")), "SUCCESS"));
}

}  // namespace drover::test
