#include "core/net/listener.h"
#include "tests/core/net/test_client.h"
#include "tests/support/in_child.h"
#include "tests/support/skipped.h"
#include "tests/support/temporary_folder.h"

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include <doctest/doctest.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace drover;
using namespace drover::test;

namespace {

Address address_in(const TemporaryFolder& directory, const char* name) {
    return Address::parse("unix:" + directory.file(name));
}

bool is_socket(const std::string& path) {
    struct stat status;
    return ::lstat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode);
}

// Leaves a path that nobody listens on behind.
void make_stale(const Address& address) {
    const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::bind(fd.get(), address.data(), address.size()) == 0);
}

}  // namespace

TEST_CASE("a unix path: one shared socket, its mode whatever the umask, removed at the end") {
    const TemporaryFolder directory;
    const Address address = address_in(directory, "a.sock");
    {
        const mode_t umask_before = ::umask(0077);
        Listener listener = Listener::bind(address, {.unix_mode = 0622}, 3);
        CHECK(::umask(umask_before) == 0077);
        CHECK(listener.shared());
        CHECK(listener.sockets() == 1);
        CHECK(listener.options().balance == Balance::reuseport);
        listener.resize(5);
        CHECK(listener.socket_for(4) == listener.socket_for(0));
        listener.listen();
        struct stat status;
        REQUIRE(::lstat(directory.file("a.sock").c_str(), &status) == 0);
        CHECK(S_ISSOCK(status.st_mode));
        CHECK((status.st_mode & 07777) == 0622);
        const UniqueFd client = connect_to(address);
        REQUIRE(client);
        CHECK(accept_from(listener.socket_for(1)));
        CHECK((::fcntl(listener.socket_for(0), F_GETFL) & O_NONBLOCK) != 0);
    }
    CHECK_FALSE(std::filesystem::exists(directory.file("a.sock")));
}

TEST_CASE("a stale unix path is replaced") {
    const TemporaryFolder directory;
    const Address address = address_in(directory, "a.sock");
    make_stale(address);
    REQUIRE(is_socket(directory.file("a.sock")));
    Listener listener = Listener::bind(address, {}, 1);
    listener.listen();
    CHECK(connect_to(address));
}

TEST_CASE("a unix path that answers is refused, also with a full queue or of another type") {
    const TemporaryFolder directory;
    const Address address = address_in(directory, "a.sock");
    const std::string text = "bind " + address.text() + ": Address already in use";
    Listener first = Listener::bind(address, {.backlog = 0}, 1);
    first.listen();
    CHECK(fails_with(EADDRINUSE, text, [&] { Listener::bind(address, {}, 1); }));
    CHECK(fails_with(EADDRINUSE, text, [&] { Listener::bind(address, {}, 1); }));
    CHECK(fails_with(EADDRINUSE, text, [&] { Listener::bind(address, {}, 1); }));
    CHECK(is_socket(directory.file("a.sock")));

    const Address other = address_in(directory, "datagram.sock");
    const UniqueFd datagram(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    REQUIRE(::bind(datagram.get(), other.data(), other.size()) == 0);
    CHECK(fails_with(EADDRINUSE, "bind " + other.text(), [&] { Listener::bind(other, {}, 1); }));
    CHECK(is_socket(directory.file("datagram.sock")));
}

TEST_CASE("what is no socket is refused and left alone") {
    const TemporaryFolder directory;
    const Address address = address_in(directory, "file");
    std::ofstream(directory.file("file")) << "precious";
    CHECK(fails_with(EEXIST, "bind " + address.text() + ": not a socket",
                     [&] { Listener::bind(address, {}, 1); }));
    std::string content;
    std::ifstream(directory.file("file")) >> content;
    CHECK(content == "precious");

    make_stale(address_in(directory, "stale"));
    std::filesystem::create_symlink(directory.file("stale"), directory.file("link"));
    CHECK(fails_with(EEXIST, "bind ", [&] { Listener::bind(address_in(directory, "link"), {}, 1); }));
    CHECK(fails_with(ENOENT, "bind ", [&] { Listener::bind(address_in(directory, "none/a"), {}, 1); }));
}

TEST_CASE("only our own path is removed, and only by the one who owns it") {
    const TemporaryFolder directory;
    const std::string path = directory.file("a.sock");
    SUBCASE("another's socket took the place") {
        std::optional<Listener> listener(Listener::bind(address_in(directory, "a.sock"), {}, 1));
        REQUIRE(::unlink(path.c_str()) == 0);
        make_stale(address_in(directory, "a.sock"));
        listener.reset();
        CHECK(is_socket(path));
    }
    SUBCASE("a forked child destroys its copy") {
        std::optional<Listener> listener(Listener::bind(address_in(directory, "a.sock"), {}, 1));
        const pid_t child = ::fork();
        if (child == 0) {
            listener.reset();
            ::_exit(0);
        }
        int status = -1;
        REQUIRE(::waitpid(child, &status, 0) == child);
        REQUIRE(status == 0);
        CHECK(is_socket(path));
        listener.reset();
        CHECK_FALSE(is_socket(path));
    }
    SUBCASE("moved") {
        std::optional<Listener> from(Listener::bind(address_in(directory, "a.sock"), {}, 1));
        std::optional<Listener> to(std::move(*from));
        from.reset();
        CHECK(is_socket(path));
        to->listen();
        CHECK(connect_to(address_in(directory, "a.sock")));
        *to = Listener::bind(address_in(directory, "b.sock"), {}, 1);
        CHECK_FALSE(is_socket(path));
        CHECK(is_socket(directory.file("b.sock")));
        to.reset();
        CHECK_FALSE(is_socket(directory.file("b.sock")));
    }
}

TEST_CASE("an abstract unix socket") {
    const Address address = Address::parse("unix:@drover-listener-test-" + std::to_string(::getpid()));
    {
        Listener listener = Listener::bind(address, {}, 2);
        CHECK(listener.shared());
        CHECK(fails_with(EADDRINUSE, "bind " + address.text(), [&] { Listener::bind(address, {}, 1); }));
        listener.listen();
        CHECK(connect_to(address));
    }
    CHECK_FALSE(connect_to(address));
}

TEST_CASE("rights of a unix path that can be given in part alone stay as they were") {
    if (lacks_root()) return;
    const TemporaryFolder directory;
    const Address address = address_in(directory, "socket");
    in_child([&] {
        Listener listener = Listener::bind(address, {.unix_mode = 0640}, 1);
        // It may give files away, and not change the mode of those that are another's.
        __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
        __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {};
        if (::syscall(SYS_capget, &header, sets) != 0) return 1;
        sets[0].effective &= ~(1U << CAP_FOWNER);
        if (::syscall(SYS_capset, &header, sets) != 0) return 2;
        ListenerOptions options{.unix_mode = 0600, .unix_owner = 65534, .unix_group = 65534};
        try {
            listener.set_options(options);
            return 3;
        } catch (const std::system_error&) {
        }
        struct stat status {};
        if (::lstat(address.unix_path().c_str(), &status) != 0) return 4;
        const bool as_before =
            status.st_uid == 0 && status.st_gid == ::getegid() && (status.st_mode & 07777) == 0640;
        return as_before && listener.options().unix_mode == 0640 ? 0 : 5;
    });
}
