#include "master/pid_file.h"

#include "tests/support/skipped.h"
#include "tests/support/temporary_folder.h"

#include <algorithm>
#include <array>
#include <optional>
#include <stdexcept>
#include <system_error>

#include <doctest/doctest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace drover;

namespace {

std::string our_line() {
    return std::to_string(::getpid()) + "\n";
}

bool exists(const std::string& path) {
    struct stat file {};
    return ::lstat(path.c_str(), &file) == 0;
}

}  // namespace

TEST_CASE("holds our pid and goes with its owner") {
    test::TemporaryFolder folder;
    const std::string path = folder.file("drover.pid");
    {
        PidFile pid_file(path);
        CHECK(test::read_file(path) == our_line());
    }
    CHECK_FALSE(exists(path));
}

TEST_CASE("a second master is refused and told who is there") {
    test::TemporaryFolder folder;
    const std::string path = folder.file("drover.pid");
    PidFile first(path);
    const std::string message =
        "another master (pid " + std::to_string(::getpid()) + ") runs in " + folder.path();
    CHECK_THROWS_WITH_AS(PidFile{path}, message.c_str(), std::runtime_error);
    CHECK(test::read_file(path) == our_line());
}

TEST_CASE("what a dead master left is taken over, whatever it holds") {
    test::TemporaryFolder folder;
    const std::string path = folder.file("drover.pid");
    for (const std::string& stale :
         {std::string("99999999\n"), std::string("garbage"), std::string(), std::string(100'000, '7')}) {
        test::write_file(path, stale);
        PidFile pid_file(path);
        CHECK(test::read_file(path) == our_line());
    }
}

TEST_CASE("a pid that cannot be the holder's is not told") {
    test::TemporaryFolder folder;
    const std::string path = folder.file("drover.pid");
    for (const char* stale : {"garbage", "-1", "0", "2147483647\n", ""}) {
        test::write_file(path, stale);
        test::write_file(path + ".lock", "");
        const UniqueFd holder(::open((path + ".lock").c_str(), O_RDWR | O_CLOEXEC));
        REQUIRE(::flock(holder.get(), LOCK_EX) == 0);
        const std::string message = "another master runs in " + folder.path();
        CHECK_THROWS_WITH_AS(PidFile{path}, message.c_str(), std::runtime_error);
        CHECK(test::read_file(path) == stale);
    }
}

TEST_CASE("a lock that somebody holds is never removed") {
    test::TemporaryFolder folder;
    const std::string path = folder.file("drover.pid");
    std::optional<PidFile> first(std::in_place, path);
    // Removed by hand; a second master makes its own.
    REQUIRE(::unlink((path + ".lock").c_str()) == 0);
    PidFile second(path);
    first.reset();
    CHECK(test::read_file(path) == our_line());
    CHECK_THROWS_AS(PidFile{path}, std::runtime_error);
}

TEST_CASE("whoever may read the pid file cannot hold the lock") {
    test::TemporaryFolder folder;
    const std::string path = folder.file("drover.pid");
    test::write_file(path, "99999999\n");  // left by a master that was killed
    const UniqueFd reader(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    REQUIRE(::flock(reader.get(), LOCK_EX) == 0);
    const PidFile pid_file(path);
    CHECK(test::read_file(path) == our_line());
    struct stat file {};
    REQUIRE(::stat(path.c_str(), &file) == 0);
    CHECK((file.st_mode & 0777) == 0644);
    REQUIRE(::stat((path + ".lock").c_str(), &file) == 0);
    CHECK((file.st_mode & 0777) == 0600);
}

TEST_CASE("a child that goes leaves the file to its master") {
    test::TemporaryFolder folder;
    const std::string path = folder.file("drover.pid");
    std::optional<PidFile> pid_file(std::in_place, path);
    const pid_t child = ::fork();
    if (child == 0) {
        pid_file.reset();
        ::_exit(0);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(test::read_file(path) == our_line());
}

TEST_CASE("of masters that start together exactly one gets it, again and again") {
    test::TemporaryFolder folder;
    const std::string path = folder.file("drover.pid");
    for (int round = 0; round < 20; ++round) {
        // Each child tells its result, then holds on until all have tried.
        std::array<int, 2> results{};
        std::array<int, 2> gate{};
        REQUIRE(::pipe(results.data()) == 0);
        REQUIRE(::pipe(gate.data()) == 0);
        constexpr int masters = 4;
        for (int i = 0; i < masters; ++i) {
            if (::fork() != 0) continue;
            ::close(gate[1]);
            char result = 'l';
            std::optional<PidFile> pid_file;
            try {
                pid_file.emplace(path);
                result = 'w';
            } catch (const std::runtime_error&) {
            }
            char end = 0;
            const bool told = ::write(results[1], &result, 1) == 1;
            const bool opened = ::read(gate[0], &end, 1) == 0;
            pid_file.reset();
            ::_exit(told && opened ? 0 : 1);
        }
        ::close(gate[0]);
        std::string all;
        char result = 0;
        while (all.size() < masters && ::read(results[0], &result, 1) == 1)
            all += result;
        ::close(gate[1]);
        for (int i = 0; i < masters; ++i)
            ::wait(nullptr);
        ::close(results[0]);
        ::close(results[1]);
        CHECK(std::count(all.begin(), all.end(), 'w') == 1);
        CHECK_FALSE(exists(path));
    }
}

// Masters that come and go meet each other between opening the file and locking it.
TEST_CASE("two never hold it at one time, however fast they come and go") {
    test::TemporaryFolder folder;
    const std::string path = folder.file("drover.pid");
    const std::string marker = folder.file("marker");
    constexpr int masters = 3;
    for (int i = 0; i < masters; ++i) {
        if (::fork() != 0) continue;
        for (int round = 0; round < 3000; ++round) {
            try {
                const PidFile pid_file(path);
                if (!UniqueFd(::open(marker.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600)))
                    ::_exit(1);
                if (::unlink(marker.c_str()) != 0) ::_exit(2);
            } catch (const std::runtime_error&) {
            }
        }
        ::_exit(0);
    }
    for (int i = 0; i < masters; ++i) {
        int status = -1;
        REQUIRE(::wait(&status) > 0);
        CHECK(WIFEXITED(status));
        CHECK(WEXITSTATUS(status) == 0);
    }
}

TEST_CASE("what is no regular file is refused and left alone") {
    test::TemporaryFolder folder;
    const std::string path = folder.file("drover.pid");
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    CHECK_THROWS_AS(PidFile{path}, std::system_error);
    REQUIRE(::unlink(path.c_str()) == 0);

    test::write_file(folder.file("target"), "precious");
    REQUIRE(::symlink(folder.file("target").c_str(), path.c_str()) == 0);
    CHECK_THROWS_AS(PidFile{path}, std::system_error);
    CHECK(test::read_file(folder.file("target")) == "precious");
    CHECK_FALSE(exists(path + ".lock"));
    CHECK(exists(path));

    CHECK_THROWS_AS(PidFile{folder.file("missing/drover.pid")}, std::system_error);
    CHECK_THROWS_AS(PidFile{folder.path()}, std::system_error);
}

TEST_CASE("a file of another user, or one with two names, is refused and left alone") {
    test::TemporaryFolder folder;
    const std::string path = folder.file("drover.pid");
    const auto refusal = [&] {
        try {
            const PidFile pid_file(path);
        } catch (const std::runtime_error& failure) {
            return std::string(failure.what());
        }
        return std::string("none");
    };
    test::write_file(folder.file("precious"), "precious");
    REQUIRE(::link(folder.file("precious").c_str(), path.c_str()) == 0);
    CHECK(refusal() == path + " has other names (hard links): remove it");
    CHECK(test::read_file(folder.file("precious")) == "precious");
    REQUIRE(::unlink(path.c_str()) == 0);
    if (test::lacks_root()) return;
    for (const std::string& name : {path + ".lock", path}) {
        test::write_file(name, "");
        REQUIRE(::chown(name.c_str(), 65534, 65534) == 0);
        CHECK(refusal() == name + " belongs to uid 65534, not to the master's user (uid 0): remove it");
        CHECK(exists(name));
        REQUIRE(::unlink(name.c_str()) == 0);
    }
    CHECK(refusal() == "none");
}
