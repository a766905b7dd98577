#include "core/memory/shared_memory.h"

#include "core/process/process.h"
#include "tests/support/open_fds.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <system_error>
#include <utility>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace drover;

namespace {

constexpr std::size_t size = 8192;

int thrown_errno(auto&& call) {
    try {
        call();
    } catch (const std::system_error& error) {
        return error.code().value();
    }
    return 0;
}

// Of a system call that has just failed; a check of its own may change errno before the next one reads it.
int errno_of(ssize_t result) {
    return result == -1 ? errno : 0;
}

// True when a child that stores to `address` dies of it.
bool store_kills(void* address) {
    const Process child = spawn({}, [&] {
        *static_cast<volatile char*>(address) = 1;
        return 0;
    });
    int status = 0;
    REQUIRE(::waitpid(child.pid(), &status, 0) == child.pid());
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

}  // namespace

TEST_CASE("shared_memory: a memfd is zeroed, private to its user, close-on-exec and of the size asked for") {
    for (const bool reserve : {false, true}) {
        const UniqueFd fd = create_memfd("drover-test", size, reserve);
        struct stat status {};
        REQUIRE(::fstat(fd.get(), &status) == 0);
        CHECK((status.st_mode & 07777) == 0600);
        CHECK((::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
        CHECK(file_size(fd.get()) == size);
        CHECK((status.st_blocks > 0) == reserve);
        const Mapping mapping = map_shared_read_only(fd.get(), 0, size);
        CHECK(std::ranges::all_of(mapping.bytes(), [](std::byte byte) { return byte == std::byte{0}; }));
    }
    CHECK(file_size(create_memfd("drover-test", 0, true).get()) == 0);
}

TEST_CASE("shared_memory: a store shows in every mapping, at its offset") {
    const UniqueFd fd = create_memfd("drover-test", size, false);
    const Mapping writer = map_shared_writable(fd.get(), 4096, 4096);
    const Mapping reader = map_shared_read_only(fd.get(), 0, size);
    writer.writable_bytes()[7] = std::byte{42};
    CHECK(reader.bytes()[4096 + 7] == std::byte{42});
}

TEST_CASE("shared_memory: sealing waits for every writable mapping") {
    const UniqueFd fd = create_memfd("drover-test", size, false);
    {
        const Mapping writer = map_shared_writable(fd.get(), 0, size);
        CHECK(thrown_errno([&] { seal_memory(fd.get()); }) == EBUSY);
        CHECK_FALSE(is_sealed(fd.get()));
    }
    seal_memory(fd.get());
    CHECK(is_sealed(fd.get()));
}

TEST_CASE("shared_memory: sealed memory cannot be mapped writable, written or resized, and can be read") {
    const UniqueFd fd = create_memfd("drover-test", size, false);
    map_shared_writable(fd.get(), 0, size).writable_bytes()[0] = std::byte{7};
    seal_memory(fd.get());
    CHECK(thrown_errno([&] { map_shared_writable(fd.get(), 0, size); }) == EPERM);
    CHECK(errno_of(::write(fd.get(), "x", 1)) == EPERM);
    CHECK(::ftruncate(fd.get(), 1) == -1);
    CHECK(::ftruncate(fd.get(), 2 * size) == -1);
    const Mapping reader = map_private_read_only(fd.get(), size);
    CHECK(reader.bytes()[0] == std::byte{7});
}

TEST_CASE("shared_memory: only all four seals count as sealed") {
    const UniqueFd fd = create_memfd("drover-test", size, false);
    CHECK_FALSE(is_sealed(fd.get()));
    REQUIRE(::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) == 0);
    CHECK_FALSE(is_sealed(fd.get()));
    seal_memory(fd.get());
    CHECK(is_sealed(fd.get()));
    const UniqueFd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    CHECK_FALSE(is_sealed(file.get()));
}

TEST_CASE("shared_memory: a store through a read-only mapping kills the process that tries") {
    const UniqueFd fd = create_memfd("drover-test", size, false);
    const Mapping writable = map_shared_writable(fd.get(), 0, size);
    CHECK_FALSE(store_kills(writable.data()));
    CHECK(writable.bytes()[0] == std::byte{1});
    CHECK(store_kills(map_shared_read_only(fd.get(), 0, size).data()));
    CHECK(store_kills(map_private_read_only(fd.get(), size).data()));
}

TEST_CASE("shared_memory: a read-only descriptor gives no way to write") {
    const UniqueFd fd = create_memfd("drover-test", size, false);
    const UniqueFd read_only = reopen_read_only(fd.get());
    CHECK((::fcntl(read_only.get(), F_GETFD) & FD_CLOEXEC) != 0);
    CHECK(thrown_errno([&] { map_shared_writable(read_only.get(), 0, size); }) == EACCES);
    const Mapping reader = map_shared_read_only(read_only.get(), 0, size);
    CHECK(errno_of(::mprotect(reader.data(), size, PROT_READ | PROT_WRITE)) == EACCES);
    const Mapping writer = map_shared_writable(fd.get(), 0, size);
    writer.writable_bytes()[0] = std::byte{9};
    CHECK(reader.bytes()[0] == std::byte{9});
}

TEST_CASE("shared_memory: a mapping has one owner") {
    const UniqueFd fd = create_memfd("drover-test", size, false);
    Mapping first = map_shared_writable(fd.get(), 0, size);
    void* const data = first.data();
    Mapping second(std::move(first));
    CHECK(first.data() == nullptr);  // NOLINT(bugprone-use-after-move): what a move leaves is the point
    CHECK(second.data() == data);
    Mapping& same = second;
    second = std::move(same);
    CHECK(second.data() == data);
    second = Mapping();
    CHECK(second.data() == nullptr);
    unsigned char resident = 0;
    CHECK(errno_of(::mincore(data, 4096, &resident)) == ENOMEM);
}

TEST_CASE("shared_memory: what is kept from children is not there") {
    const UniqueFd fd = create_memfd("drover-test", size, false);
    const Mapping mapping = map_shared_writable(fd.get(), 0, size);
    CHECK_FALSE(store_kills(mapping.data()));
    mapping.keep_from_children();
    CHECK(store_kills(mapping.data()));
}

TEST_CASE("shared_memory: failures name the call and leak nothing") {
    const std::size_t before = test::count_open_fds();
    CHECK(thrown_errno([] { create_memfd("drover-test", ~std::size_t{0}, true); }) != 0);
    CHECK(thrown_errno([] { reopen_read_only(-1); }) == ENOENT);
    CHECK(thrown_errno([] { map_shared_read_only(-1, 0, size); }) == EBADF);
    CHECK(thrown_errno([] { seal_memory(-1); }) == EBADF);
    CHECK(thrown_errno([] { file_size(-1); }) == EBADF);
    CHECK(test::count_open_fds() == before);
}
