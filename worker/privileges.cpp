#include "worker/privileges.h"

#include "conf/settings.h"
#include "core/base/check.h"
#include "core/base/system_error.h"
#include "core/process/environment.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <optional>
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

// Whom `user` means.
struct Person {
    std::string name;  // empty: a number without an entry in the user database
    uid_t uid = 0;
    gid_t gid = 0;
    std::string home = "/";
};

void take_ids(const Person& person, const std::string& user) {
    if (person.name.empty())
        check_call(::setgroups(0, nullptr), "setgroups", user);
    else
        check_call(::initgroups(person.name.c_str(), person.gid), "initgroups", user);
    check_call(::setresgid(person.gid, person.gid, person.gid), "setresgid", user);
    check_call(::setresuid(person.uid, person.uid, person.uid), "setresuid", user);
    DROVER_CHECK(person.uid == 0 || ::setuid(0) != 0);
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

// getpwnam(3) and getgrnam(3) name several values of errno that mean that there is no such entry.
bool is_failure(int error) noexcept {
    return error == EIO || error == EMFILE || error == ENFILE || error == ENOMEM;
}

Person find_person(const std::string& name) {
    const std::optional<std::uint32_t> number = parse_id(name);
    errno = 0;
    const passwd* const entry = number ? ::getpwuid(*number) : ::getpwnam(name.c_str());
    if (entry != nullptr) return {entry->pw_name, entry->pw_uid, entry->pw_gid, entry->pw_dir};
    if (is_failure(errno)) throw_errno("getpwnam", name);
    if (number) return {.name = "", .uid = *number, .gid = *number};
    throw std::runtime_error("user \"" + name + "\": there is no such user");
}

gid_t find_group(const std::string& name) {
    if (const std::optional<std::uint32_t> number = parse_id(name)) return *number;
    errno = 0;
    const group* const entry = ::getgrnam(name.c_str());
    if (entry != nullptr) return entry->gr_gid;
    if (is_failure(errno)) throw_errno("getgrnam", name);
    throw std::runtime_error("user: there is no group \"" + name + "\"");
}

// "USER" or "USER:GROUP", each a name or a number.
Person person_of(const std::string& user) {
    const std::size_t colon = user.find(':');
    Person person = find_person(user.substr(0, colon));
    if (colon != user.npos) person.gid = find_group(user.substr(colon + 1));
    return person;
}

void become_user(const std::string& user, const std::vector<std::string>& environment) {
    const Person person = person_of(user);
    if (person.uid != 0) {
        leave_session_keyring();
        leave_environment(person.home, environment);
    } else {
        set_environment(environment);
    }
    empty_bounding_set();
    take_ids(person, user);
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
