#include "core/base/unique_fd.h"

#include "tests/support/open_fds.h"

#include <utility>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

using drover::UniqueFd;
using drover::test::count_open_fds;

namespace {

UniqueFd open_null() {
    return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}
bool is_open(int fd) {
    return ::fcntl(fd, F_GETFD) >= 0;
}

}  // namespace

TEST_CASE("unique_fd: closes what it holds") {
    int number = -1;
    {
        const UniqueFd fd = open_null();
        number = fd.get();
        REQUIRE(fd);
        CHECK(is_open(number));
    }
    CHECK_FALSE(is_open(number));
}

TEST_CASE("unique_fd: default is none") {
    const UniqueFd none;
    CHECK_FALSE(none);
    CHECK(none.get() == -1);
}

TEST_CASE("unique_fd: descriptor 0 is a descriptor") {
    UniqueFd zero(0);
    CHECK(zero);
    CHECK(zero.release() == 0);
}

TEST_CASE("unique_fd: moving leaves none behind and closes what was there") {
    UniqueFd first = open_null();
    UniqueFd second = open_null();
    const int first_number = first.get();
    const int second_number = second.get();
    second = std::move(first);
    CHECK(first.get() == -1);  // NOLINT(bugprone-use-after-move): what a move leaves is the point
    CHECK(second.get() == first_number);
    CHECK_FALSE(is_open(second_number));
    UniqueFd third(std::move(second));
    CHECK(third.get() == first_number);
    CHECK(is_open(first_number));
}

TEST_CASE("unique_fd: moving onto itself keeps the descriptor") {
    UniqueFd fd = open_null();
    UniqueFd& same = fd;
    const int number = fd.get();
    fd = std::move(same);
    CHECK(fd.get() == number);
    CHECK(is_open(number));
}

TEST_CASE("unique_fd: release gives the descriptor away open") {
    UniqueFd fd = open_null();
    const int number = fd.release();
    CHECK_FALSE(fd);
    CHECK(is_open(number));
    ::close(number);
}

TEST_CASE("unique_fd: a duplicate is close-on-exec and independent") {
    const std::size_t before = count_open_fds();
    {
        UniqueFd fd = open_null();
        const UniqueFd copy = fd.duplicate();
        REQUIRE(copy);
        CHECK(copy.get() != fd.get());
        CHECK((::fcntl(copy.get(), F_GETFD) & FD_CLOEXEC) != 0);
        fd.reset();
        CHECK(is_open(copy.get()));
    }
    CHECK(count_open_fds() == before);
    CHECK_FALSE(UniqueFd().duplicate());
}
