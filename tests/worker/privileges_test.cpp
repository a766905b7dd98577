#include "worker/privileges.h"

#include "tests/support/in_child.h"

#include <stdexcept>
#include <vector>

#include <doctest/doctest.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

using namespace drover;
using namespace drover::test;

TEST_CASE("an unknown user is an error that names it") {
    if (::geteuid() != 0) return;
    CHECK_THROWS_WITH_AS(become_user("no-such-user-here"),
                         "user \"no-such-user-here\": there is no such user", std::runtime_error);
}

TEST_CASE("an empty user changes nothing") {
    in_child([] {
        const uid_t before = ::getuid();
        become_user("");
        return ::getuid() == before && ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0 ? 0 : 1;
    });
}

TEST_CASE("becoming a user gives up every id and root's groups for good") {
    if (::geteuid() != 0) return;
    in_child([] {
        const gid_t extra[] = {0, 4};
        if (::setgroups(2, extra) != 0) return 1;
        const passwd* nobody = ::getpwnam("nobody");
        if (nobody == nullptr) return 2;
        const uid_t uid = nobody->pw_uid;
        const gid_t gid = nobody->pw_gid;
        become_user("nobody");
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
