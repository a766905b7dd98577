#include "worker/privileges.h"

#include "core/check.h"
#include "core/system_error.h"

#include <stdexcept>

#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

namespace drover {

void become_user(const std::string& user) {
    if (user.empty() || ::geteuid() != 0) return;
    errno = 0;
    const passwd* entry = ::getpwnam(user.c_str());
    // getpwnam(3) names several values of errno that mean the same.
    if (entry == nullptr && (errno == EIO || errno == EMFILE || errno == ENFILE || errno == ENOMEM))
        throw_errno("getpwnam", user);
    if (entry == nullptr) throw std::runtime_error("user \"" + user + "\": there is no such user");
    const uid_t uid = entry->pw_uid;
    const gid_t gid = entry->pw_gid;
    check_call(::initgroups(user.c_str(), gid), "initgroups", user);
    check_call(::setresgid(gid, gid, gid), "setresgid", user);
    check_call(::setresuid(uid, uid, uid), "setresuid", user);
    check_call(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl", "PR_SET_NO_NEW_PRIVS");
    DROVER_CHECK(uid == 0 || ::setuid(0) != 0);
}

void raise_descriptor_limit() noexcept {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace drover
