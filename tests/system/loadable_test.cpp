// Modules in shared libraries: loaded, swapped by a reload, refused when they do not fit.
#include "tests/support/contains.h"
#include "tests/support/http_load.h"
#include "tests/support/master_under_test.h"

#include <algorithm>
#include <filesystem>

#include <doctest/doctest.h>

namespace drover::test {
namespace {

struct LoadingMaster {
    ReservedPort port;
    MasterUnderTest master;

    explicit LoadingMaster(const std::string& variant)
        : master(config(), {.prepare = [&](MasterUnderTest& prepared) {
                     std::filesystem::create_directory(prepared.folder().file("lib"));
                     put(prepared, variant);
                 }}) {}

    TestConfig config(const std::string& body = "first") const {
        return {
            .body = body,
            .modules = "\"http\", \"echo\", \"lib/sample.so\"",
            .rest = "\n[[pool.main.listen]]\naddress = \"" + port.address() + "\"\nmodule = \"sample\"\n"};
    }

    // As an installer does: the old file stays what it is for whoever has it open.
    static void put(const MasterUnderTest& master, const std::string& variant) {
        const std::string next = master.folder().file("lib/next.so");
        std::filesystem::copy_file(DROVER_SAMPLE_MODULES "/sample_" + variant + ".so", next);
        std::filesystem::rename(next, master.folder().file("lib/sample.so"));
    }
    void put(const std::string& variant) const { put(master, variant); }

    std::string word() const {
        StreamClient client = StreamClient::connect_tcp(port.number());
        client.send("?");
        return client.read_to_end();
    }
};

void check_library_refused(const std::string& variant, const std::string& reason) {
    LoadingMaster loading("one");
    MasterUnderTest& master = loading.master;
    loading.put(variant);
    const CommandResult result = master.cli({"reload"});
    CHECK(result.code() == 1);
    CHECK_MESSAGE(result.errors.find(reason) != std::string::npos, result.errors);
    CHECK_MESSAGE(result.errors.find("lib/sample.so") != std::string::npos, result.errors);
    CHECK(loading.word() == "one");
    CHECK(master.status().generation == 1);
    const CommandResult checked = master.cli({"check"});
    CHECK(checked.code() == 78);
    CHECK_MESSAGE(checked.errors.find(reason) != std::string::npos, checked.errors);
    master.finish();
}

}  // namespace

TEST_CASE("a module in a shared library serves, and a reload takes a new build of it under load") {
    LoadingMaster loading("one");
    MasterUnderTest& master = loading.master;
    CHECK(loading.word() == "one");
    CHECK(master.cli({"check"}).code() == 0);
    HttpLoad load(master.http_port());
    // An unchanged file is an unchanged configuration.
    CHECK(master.cli({"reload"}).output == "nothing has changed\n");
    loading.put("two");
    const CommandResult result = master.cli({"reload"});
    CHECK_MESSAGE(result.code() == 0, result.errors);
    CHECK(loading.word() == "two");
    CHECK(contains(master.cli({"events"}).output, "library \"lib/sample.so\": another build (fresh)"));
    load.stop();
    CHECK_MESSAGE(load.failures() == 0, load.first_failure());
    CHECK(master.status().generation == 2);
    master.finish();
}

TEST_CASE("a respawned worker runs the very bytes that were checked, whatever the file is by now") {
    LoadingMaster loading("one");
    MasterUnderTest& master = loading.master;
    loading.put("plain");
    for (const pid_t pid : master.worker_pids()) {
        kill(pid, SIGKILL);
        master.wait_replaced({pid});
    }
    for (int i = 0; i < 10; ++i)
        CHECK(loading.word() == "one");
    // A hot reload leaves it alone, too.
    loading.put("one");
    master.write_config(loading.config("second"));
    CHECK(master.cli({"reload"}).code() == 0);
    CHECK(master.get() == "second");
    loading.put("plain");
    const std::vector<pid_t> pids = master.worker_pids();
    kill(pids.front(), SIGKILL);
    master.wait_replaced({pids.front()});
    CHECK(loading.word() == "one");
    master.finish();
}

TEST_CASE("a library of another build is refused before it is loaded") {
    check_library_refused("other_build",
                          "it was built with \"drover 0.0.9\", this program with \"drover 0.1.0, C++ ABI ");
}
TEST_CASE("a library that is no module is refused") {
    check_library_refused("plain", "DROVER_MODULE stands in none of its sources");
}
TEST_CASE("a library that lacks a symbol is refused") {
    check_library_refused("unresolved", "; link the module with the library that has it");
}
TEST_CASE("an error of the system out of a module's own code is the module's, not the machine's") {
    check_library_refused("misdeclared", "the module looks for its folder");
}
TEST_CASE("a library whose constructor throws is refused, and named") {
    // Some builds unwind through the loader, others end there: in any case the library is named.
    check_library_refused("throws", "lib/sample.so");
}

TEST_CASE("what is no library is refused in one line") {
    LoadingMaster loading("one");
    MasterUnderTest& master = loading.master;
    const std::string path = master.folder().file("lib/sample.so");
    const auto refused = [&](const std::string& reason) {
        const CommandResult result = master.cli({"reload"});
        CHECK(result.code() == 1);
        CHECK_MESSAGE(result.errors.find(reason) != std::string::npos, result.errors);
        CHECK(std::count(result.errors.begin(), result.errors.end(), '\n') == 1);
    };
    write_file(path, "no library at all");
    refused("it is no shared library\n");
    write_file(path, std::string(4096, 'x'));
    refused("it is no shared library\n");
    write_file(path, "");
    refused("it is empty");
    std::filesystem::remove(path);
    refused("it cannot be opened: No such file or directory");
    std::filesystem::create_directory(path);
    refused("it is no regular file");
    CHECK(loading.word() == "one");
    master.finish();
}

}  // namespace drover::test
