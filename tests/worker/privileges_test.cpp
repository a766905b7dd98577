#include "worker/privileges.h"

#include "tests/support/in_child.h"
#include "tests/support/skipped.h"

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace drover;
using namespace drover::test;

TEST_CASE("an unknown user is an error that names it") {
    if (lacks_root()) return;
    CHECK_THROWS_WITH_AS(give_up_rights("no-such-user-here"),
                         "user \"no-such-user-here\": there is no such user", std::runtime_error);
}

TEST_CASE("an empty user changes no ids; nothing new comes by exec any more") {
    in_child([] {
        const uid_t before = ::getuid();
        ::setenv("DROVER_KEPT", "kept", 1);
        give_up_rights("", {"DROVER_SET=a=b", "DROVER_ABSENT"});
        if (::getuid() != before || ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) return 1;
        if (::getenv("DROVER_ABSENT") != nullptr) return 2;
        return std::string(::getenv("DROVER_KEPT")) == "kept" && std::string(::getenv("DROVER_SET")) == "a=b"
                   ? 0
                   : 3;
    });
}

TEST_CASE("capabilities that exec would pass on are dropped, of an ordinary user, too") {
    if (lacks_root()) return;
    in_child([] {
        // As a unit with AmbientCapabilities starts it.
        constexpr unsigned kept = (1U << CAP_NET_BIND_SERVICE) | (1U << CAP_SETPCAP);
        if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 || ::setresuid(65534, 65534, 65534) != 0) return 1;
        __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
        __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {{kept, kept, kept}, {}};
        if (::syscall(SYS_capset, &header, sets) != 0) return 2;
        if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0) != 0) return 3;
        give_up_rights("");
        if (::syscall(SYS_capget, &header, sets) != 0) return 4;
        if (sets[0].inheritable != 0 || sets[0].permitted != kept || sets[0].effective != kept) return 5;
        if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_NET_BIND_SERVICE, 0, 0) != 0) return 6;
        return ::prctl(PR_CAPBSET_READ, CAP_NET_BIND_SERVICE, 0, 0, 0) == 0 ? 0 : 7;
    });
    // Without CAP_SETPCAP the bounding set stays.
    in_child([] {
        if (::setresuid(65534, 65534, 65534) != 0) return 1;
        give_up_rights("");
        return ::prctl(PR_CAPBSET_READ, CAP_NET_BIND_SERVICE, 0, 0, 0) == 1 ? 0 : 2;
    });
}

TEST_CASE("becoming a user gives up every id and root's groups for good") {
    if (lacks_root()) return;
    in_child([] {
        const gid_t extra[] = {0, 4};
        if (::setgroups(2, extra) != 0) return 1;
        const passwd* nobody = ::getpwnam("nobody");
        if (nobody == nullptr) return 2;
        const uid_t uid = nobody->pw_uid;
        const gid_t gid = nobody->pw_gid;
        give_up_rights("nobody");
        uid_t uids[3];
        gid_t gids[3];
        ::getresuid(&uids[0], &uids[1], &uids[2]);
        ::getresgid(&gids[0], &gids[1], &gids[2]);
        for (const uid_t each : uids) {
            if (each != uid) return 3;
        }
        for (const gid_t each : gids) {
            if (each != gid) return 4;
        }
        std::vector<gid_t> groups(64);
        groups.resize(static_cast<std::size_t>(::getgroups(64, groups.data())));
        for (const gid_t group : groups) {
            if (group != gid) return 5;
        }
        if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) return 6;
        return ::setuid(0) != 0 && ::setgid(0) != 0 ? 0 : 7;
    });
}

TEST_CASE("the descriptor limit is raised to the hard one") {
    in_child([] {
        rlimit limit{};
        ::getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = limit.rlim_max / 2;
        ::setrlimit(RLIMIT_NOFILE, &limit);
        raise_descriptor_limit();
        ::getrlimit(RLIMIT_NOFILE, &limit);
        return limit.rlim_cur == limit.rlim_max ? 0 : 1;
    });
}
