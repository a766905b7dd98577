#include "worker/privileges.h"

#include "core/check.h"
#include "core/environment.h"
#include "core/system_error.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <stdexcept>
#include <string_view>

#include <grp.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace drover {

namespace {

// Docker's profile, a kernel without keys and a full quota say these: the keyring stays.
void leave_session_keyring() {
    if (::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) >= 0) return;
    if (errno != EPERM && errno != ENOSYS && errno != EDQUOT)
        throw_errno("keyctl", "KEYCTL_JOIN_SESSION_KEYRING");
}

void take_ids(const std::string& user, uid_t uid, gid_t gid) {
    check_call(::initgroups(user.c_str(), gid), "initgroups", user);
    check_call(::setresgid(gid, gid, gid), "setresgid", user);
    check_call(::setresuid(uid, uid, uid), "setresuid", user);
    DROVER_CHECK(uid == 0 || ::setuid(0) != 0);
}

// What exec could give back. Needs CAP_SETPCAP; without, the set stays.
void empty_bounding_set() noexcept {
    for (int capability = 0; ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0; ++capability) {
    }
}

// capabilities(7): lowering one's own sets needs no right.
void drop_passed_on_capabilities() {
    check_call(::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "prctl", "PR_CAP_AMBIENT");
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {};
    check_call(static_cast<int>(::syscall(SYS_capget, &header, sets)), "capget");
    for (__user_cap_data_struct& set : sets)
        set.inheritable = 0;
    check_call(static_cast<int>(::syscall(SYS_capset, &header, sets)), "capset");
}

bool passes_to_other_users(std::string_view name) noexcept {
    constexpr std::array<std::string_view, 8> names = {"PATH",         "LANG",         "TZ",
                                                       "ASAN_OPTIONS", "LSAN_OPTIONS", "MSAN_OPTIONS",
                                                       "TSAN_OPTIONS", "UBSAN_OPTIONS"};
    return std::ranges::find(names, name) != names.end() || name.starts_with("LC_") ||
           name.ends_with("SAN_SYMBOLIZER_PATH");
}

std::string_view name_of(std::string_view entry) noexcept {
    return entry.substr(0, entry.find('='));
}

void set_environment(const std::vector<std::string>& entries) {
    for (const std::string& entry : entries) {
        if (const std::size_t equals = entry.find('='); equals != entry.npos)
            check_call(::setenv(entry.substr(0, equals).c_str(), entry.c_str() + equals + 1, 1), "setenv");
    }
}

void leave_environment(const std::string& home, const std::vector<std::string>& configured) {
    std::vector<std::string> entries;
    const auto add = [&entries](const std::string& entry) {
        std::erase_if(entries, [&](const std::string& other) { return name_of(other) == name_of(entry); });
        entries.push_back(entry);
    };
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry)
        if (passes_to_other_users(name_of(*entry))) add(*entry);
    add("HOME=" + home);
    for (const std::string& wanted : configured) {
        const bool has_value = wanted.find('=') != wanted.npos;
        if (const std::string entry = has_value ? wanted : environment_entry(wanted); !entry.empty())
            add(entry);
    }
    replace_environment(entries);
}

const passwd& find_user(const std::string& user) {
    errno = 0;
    const passwd* const entry = ::getpwnam(user.c_str());
    if (entry != nullptr) return *entry;
    // getpwnam(3) names several values of errno that mean the same.
    if (errno == EIO || errno == EMFILE || errno == ENFILE || errno == ENOMEM) throw_errno("getpwnam", user);
    throw std::runtime_error("user \"" + user + "\": there is no such user");
}

void become_user(const std::string& user, const std::vector<std::string>& environment) {
    const passwd& entry = find_user(user);
    const uid_t uid = entry.pw_uid;
    const gid_t gid = entry.pw_gid;
    if (uid != 0) {
        leave_session_keyring();
        leave_environment(entry.pw_dir, environment);
    } else {
        set_environment(environment);
    }
    empty_bounding_set();
    take_ids(user, uid, gid);
}

}  // namespace

void give_up_rights(const std::string& user, const std::vector<std::string>& environment) {
    if (user.empty() || ::geteuid() != 0) {
        set_environment(environment);
        empty_bounding_set();
    } else {
        become_user(user, environment);
    }
    drop_passed_on_capabilities();
    check_call(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl", "PR_SET_NO_NEW_PRIVS");
}

void raise_descriptor_limit() noexcept {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace drover
