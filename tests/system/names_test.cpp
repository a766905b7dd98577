// What the master has made in the file system, deleted or replaced by others, and its rights there.
#include "tests/support/http_client.h"
#include "tests/support/master_under_test.h"
#include "tests/support/proc.h"
#include "tests/support/skipped.h"

#include <filesystem>
#include <string>

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace drover::test {
namespace {

struct UnixListener {
    std::string path;
    std::string keys = {};

    std::string text() const {
        return "\n[[pool.main.listen]]\naddress = \"unix:" + path + "\"\nmodule = \"http\"\n" + keys;
    }
};

std::string ask_unix(const std::string& path) {
    StreamClient client = StreamClient::connect_unix(path);
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    const std::string reply = client.read_until("\r\n\r\n");
    return reply.substr(0, reply.find("\r\n"));
}

struct stat status_of(const std::string& path) {
    struct stat status {};
    REQUIRE(::lstat(path.c_str(), &status) == 0);
    return status;
}

}  // namespace

TEST_CASE("HUP makes the runtime directory, the pid file and the control socket again, and says so") {
    MasterUnderTest master;
    std::filesystem::remove_all(master.runtime_dir());
    master.signal(SIGHUP);
    master.wait_output("reload: nothing has changed; made again");
    CHECK(read_file(master.runtime_dir() + "/drover.pid") == std::to_string(master.pid()) + "\n");
    CHECK(std::filesystem::exists(master.runtime_dir() + "/drover.pid.lock"));
    CHECK(master.status().workers.size() == 2);

    for (const char* const name : {"control.sock", "drover.pid", "drover.pid.lock"}) {
        CAPTURE(name);
        const std::string path = master.runtime_dir() + "/" + name;
        std::filesystem::remove(path);
        const std::size_t before = master.output().size();
        master.signal(SIGHUP);
        master.wait_until("the verdict", [&] {
            return master.output().find("reload: nothing has changed", before) != std::string::npos;
        });
        CHECK(master.output().find("made again", before) != std::string::npos);
        CHECK(std::filesystem::exists(path));
        CHECK(master.status().workers.size() == 2);
    }
    // A second master is refused as before.
    const CommandResult second = master.cli({"run"});
    CHECK(second.code() == 1);
    CHECK(second.errors.find("another master (pid " + std::to_string(master.pid()) + ")") !=
          std::string::npos);
    const ControlReply quiet = master.control("reload");
    CHECK(quiet.text.find("made again") == std::string::npos);
    master.finish();
}

TEST_CASE("a reload is refused, with the reason, when another file has taken the control socket's name") {
    MasterUnderTest master;
    std::filesystem::remove(master.control_path());
    write_file(master.control_path(), "somebody else's");
    master.signal(SIGHUP);
    master.wait_output("reload refused: bind unix:" + master.control_path());
    CHECK(read_file(master.control_path()) == "somebody else's");
    CHECK(master.get() == "first");
    std::filesystem::remove(master.control_path());
    master.signal(SIGHUP);
    master.wait_output("made again");
    CHECK(master.control("reload").ok);
    master.finish();
}

TEST_CASE("a unix path that has gone is bound again by any reload, and clients are served there") {
    MasterUnderTest master({}, {.prepare = [](MasterUnderTest& self) {
                               self.write_config({.rest = UnixListener{self.folder().file("web")}.text()});
                           }});
    const std::string path = master.folder().file("web");
    const auto config = [&](const std::string& body) {
        return TestConfig{.body = body, .rest = UnixListener{path}.text()};
    };
    unsigned round = 0;
    for (const char* const way : {"same", "hot", "--fresh"}) {
        CAPTURE(way);
        CHECK(ask_unix(path) == "HTTP/1.1 200 OK");
        std::filesystem::remove(path);
        std::vector<std::string> command{"reload"};
        if (std::string(way) == "--fresh") command.emplace_back(way);
        if (std::string(way) == "hot") master.write_config(config(std::to_string(++round)));
        const CommandResult result = master.cli(command);
        CHECK_MESSAGE(result.code() == 0, result.errors);
        CHECK((result.output + result.errors).find("unix:" + path) != std::string::npos);
        CHECK(ask_unix(path) == "HTTP/1.1 200 OK");
    }
    std::filesystem::remove(path);
    write_file(path, "somebody else's");
    for (int i = 0; i < 2; ++i) {
        const CommandResult refused = master.cli({"reload"});
        CHECK(refused.code() == 1);
        CHECK(refused.errors.find("unix:" + path) != std::string::npos);
        CHECK(master.get() == (round == 0 ? "first" : std::to_string(round)));
        master.write_config(config("other"));
    }
    // Whoever drops the listener is not held up by it.
    master.write_config({.body = "without"});
    CHECK(master.cli({"reload"}).code() == 0);
    CHECK(read_file(path) == "somebody else's");
    master.finish();
}

TEST_CASE("owner, group and mode of a unix path, by name or number, follow a reload") {
    if (lacks_root()) return;
    MasterUnderTest master;
    const std::string path = master.folder().file("web");
    const auto reload = [&](const std::string& keys) {
        master.write_config({.rest = UnixListener{path, keys}.text()});
        return master.cli({"reload"});
    };
    struct Case {
        std::string keys;
        uid_t owner;
        gid_t group;
        mode_t mode;
    };
    const std::vector<Case> cases = {
        {"unix_owner = \"nobody\"\nunix_group = \"daemon\"\nunix_mode = \"0660\"\n", 65534, 1, 0660},
        {"unix_owner = \"54321\"\nunix_mode = \"0600\"\n", 54321, 0, 0600},
        {"unix_group = \"54321\"\n", 0, 54321, 0666},
        {"", 0, 0, 0666},
    };
    ino_t inode = 0;
    for (const Case& each : cases) {
        CAPTURE(each.keys);
        const CommandResult result = reload(each.keys);
        CHECK_MESSAGE(result.code() == 0, result.errors);
        const struct stat status = status_of(path);
        CHECK(status.st_uid == each.owner);
        CHECK(status.st_gid == each.group);
        CHECK((status.st_mode & 07777) == each.mode);
        CHECK((inode == 0 || status.st_ino == inode));  // the same socket all the time
        inode = status.st_ino;
        CHECK(ask_unix(path) == "HTTP/1.1 200 OK");
    }
    const CommandResult refused = reload("unix_owner = \"no_such_user_here\"\n");
    CHECK(refused.code() == 1);
    CHECK(refused.errors.find("unix_owner: there is no user \"no_such_user_here\"") != std::string::npos);
    master.finish();
}

TEST_CASE("a unix path that an ordinary master cannot give away is refused, and nothing is left") {
    if (lacks_root()) return;
    MasterUnderTest master({}, {.user = 65534});
    const std::string path = master.folder().file("web");
    master.write_config({.rest = UnixListener{path, "unix_owner = \"daemon\"\n"}.text()});
    const CommandResult refused = master.cli({"reload"});
    CHECK(refused.code() == 1);
    CHECK(refused.errors.find("chown unix:" + path + " to uid 1") != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(path));
    CHECK(master.get() == "first");
    master.write_config({.rest = UnixListener{path, "unix_mode = \"0600\"\n"}.text()});
    CHECK(master.cli({"reload"}).code() == 0);
    CHECK((status_of(path).st_mode & 07777) == 0600);
    master.finish();
}

}  // namespace drover::test
