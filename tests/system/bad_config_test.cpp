// Whatever stands in place of the configuration: one clear error, and the running generation stays.
#include "tests/support/master_under_test.h"
#include "tests/support/proc.h"
#include "tests/support/skipped.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

namespace drover::test {
namespace {

// Puts something in place of the file, by HUP and by command; nothing may change but the verdict.
void check_refused(MasterUnderTest& master, const std::function<void(const std::string&)>& spoil,
                   std::string_view reason) {
    const std::vector<pid_t> before = master.worker_pids();
    const std::size_t fds = count_fds_of(master.pid());
    std::filesystem::remove_all(master.config_path());
    spoil(master.config_path());

    const ControlReply reply = master.control("reload");
    CHECK_FALSE(reply.ok);
    CHECK_MESSAGE(reply.text.find(reason) != std::string::npos, reply.text);
    const StatusView view = master.reload_by_signal();
    CHECK(view.state == "running");
    CHECK(view.generation == 1);
    REQUIRE(view.last_reload);
    CHECK(view.last_reload->result == "refused");
    CHECK_FALSE(view.last_reload->error.empty());
    CHECK(view.pids() == before);
    CHECK(master.get() == "first");
    CHECK(count_fds_of(master.pid()) == fds);
    CHECK(std::ranges::is_permutation(children_of(master.pid()), before));

    std::filesystem::remove_all(master.config_path());
    master.write_config({.body = "second"});
    CHECK(master.control("reload").ok);
    CHECK(master.get() == "second");
    master.finish();
}

}  // namespace

TEST_CASE("a file that is not TOML is refused with its line") {
    MasterUnderTest master;
    check_refused(
        master, [](const std::string& path) { write_file(path, "[master]\nlog_level = = 1\n"); },
        "drover.toml:2");
}

TEST_CASE("a file cut in the middle is refused") {
    MasterUnderTest master;
    const std::string text = master.config_text({});
    check_refused(
        master, [&](const std::string& path) { write_file(path, text.substr(0, text.find("modules") + 12)); },
        "drover.toml:");
}

TEST_CASE("an empty file is refused") {
    MasterUnderTest master;
    check_refused(
        master, [](const std::string& path) { write_file(path, ""); }, "pool");
}

TEST_CASE("a missing file is refused") {
    MasterUnderTest master;
    check_refused(
        master, [](const std::string&) {}, "drover.toml");
}

TEST_CASE("a directory is refused") {
    MasterUnderTest master;
    check_refused(
        master, [](const std::string& path) { std::filesystem::create_directory(path); }, "drover.toml");
}

TEST_CASE("a FIFO is refused and not waited for") {
    MasterUnderTest master;
    check_refused(
        master, [](const std::string& path) { REQUIRE(mkfifo(path.c_str(), 0600) == 0); }, "drover.toml");
}

TEST_CASE("a file of 200 MB is refused unread") {
    MasterUnderTest master;
    const auto make_sparse = [](const std::string& path) {
        write_file(path, "[master]\n");
        std::filesystem::resize_file(path, 200ULL * 1024 * 1024);
    };
    check_refused(master, make_sparse, "drover.toml");
}

TEST_CASE("an unknown key is refused, and the nearest known one suggested") {
    MasterUnderTest master;
    const std::string text = master.config_text({.pool = "max_conections = 5\n"});
    check_refused(
        master, [&](const std::string& path) { write_file(path, text); }, "max_connections");
}

TEST_CASE("an unreadable file is refused") {
    if (lacks_root()) return;
    constexpr uid_t nobody = 65534;
    MasterUnderTest master({}, {.user = nobody});
    const std::string text = master.config_text({.body = "second"});
    const auto hide = [&](const std::string& path) {
        write_file(path, text);
        REQUIRE(chmod(path.c_str(), 0) == 0);
    };
    check_refused(master, hide, "drover.toml");
}

TEST_CASE("a directory that cannot be searched or a dangling link is refused") {
    MasterUnderTest master;
    check_refused(
        master, [](const std::string& path) { std::filesystem::create_symlink("/nonexistent/x.toml", path); },
        "drover.toml");
}

}  // namespace drover::test
