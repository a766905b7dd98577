#include "conf/reader/machine_faults.h"

#include "conf/options/directory_error.h"
#include "conf/reader/address_fault.h"
#include "conf/reader/master_files.h"
#include "conf/reader/unix_ids.h"
#include "conf/settings.h"
#include "core/base/system_error.h"
#include "core/log/log_target.h"
#include "core/net/address.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <system_error>

#include <linux/capability.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace drover {

namespace {

const DocumentValue* find_text(const DocumentValue& table, const char* name) {
    const DocumentValue* const value = table.find(name);
    return value != nullptr && value->kind == DocumentKind::text && !value->text.empty() ? value : nullptr;
}

// A value of the environment comes as a text; what could not be read may be true.
bool may_be_true(const DocumentValue& table, const char* name) {
    const DocumentValue* const value = table.find(name);
    if (value == nullptr) return false;
    return value->kind == DocumentKind::unread ||
           (value->kind == DocumentKind::boolean ? value->boolean
                                                 : value->is_expanded && value->text == "true");
}

// Throws std::system_error when nothing can be made in it.
void check_folder(const std::string& path) {
    const int error = directory_error(path, W_OK | X_OK);
    const bool is_there = error != ENOENT && error != ENOTDIR;
    if (error != 0) throw_error(error, is_there ? "write to" : "open", path);
}

std::string folder_of(const std::string& path) {
    const std::string folder = std::filesystem::path(path).parent_path().string();
    return folder.empty() ? "." : folder;
}

bool has_capability(int capability) noexcept {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {};
    return ::syscall(SYS_capget, &header, sets) == 0 && (sets[0].effective & (1U << capability)) != 0;
}

unsigned first_free_port() {
    constexpr unsigned usual = 1024;
    unsigned port = usual;
    std::ifstream stream("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    return stream >> port ? port : usual;
}

void try_inet_address(const Address& address) {
    sockaddr_storage name{};
    std::memcpy(&name, address.data(), address.size());
    if (address.family() == AF_INET6)
        reinterpret_cast<sockaddr_in6&>(name).sin6_port = 0;
    else
        reinterpret_cast<sockaddr_in&>(name).sin_port = 0;
    const int type = (address.takes_datagrams() ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC;
    const UniqueFd probe(check_call(::socket(address.family(), type, 0), "socket", address.text()));
    check_call(::bind(probe.get(), reinterpret_cast<const sockaddr*>(&name), address.size()), "bind",
               address.text());
    if (address.port() != 0 && address.port() < first_free_port() && !has_capability(CAP_NET_BIND_SERVICE))
        throw_error(EACCES, "bind", address.text());
}

void check_inet_address(const Address& address, const std::string& as_written) {
    try {
        try_inet_address(address);
    } catch (const std::system_error& failure) {
        throw std::runtime_error(address_fault(failure, address, as_written));
    }
}

// chown(2): a file of one's own goes to oneself, and to groups that one is in. That a name has no entry is
// found elsewhere.
void check_gift(UnixId kind, const std::string& name) {
    const std::optional<std::uint32_t> wanted = parse_id(find_unix_id(kind, name).value_or(""));
    if (!wanted) return;
    if (kind == UnixId::user) {
        if (*wanted != ::geteuid()) throw_error(EPERM, "chown to user", name);
        return;
    }
    std::vector<gid_t> groups(static_cast<std::size_t>(check_call(::getgroups(0, nullptr), "getgroups")));
    check_call(::getgroups(static_cast<int>(groups.size()), groups.data()), "getgroups");
    groups.push_back(::getegid());
    if (std::ranges::find(groups, *wanted) == groups.end()) throw_error(EPERM, "chown to group", name);
}

// The kernel's word: processors can be there and be none of ours (cpuset(7)). Restored at once.
void check_processor(unsigned processor) {
    cpu_set_t before;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(processor, &one);
    if (::sched_getaffinity(0, sizeof before, &before) != 0) return;
    check_call(::sched_setaffinity(0, sizeof one, &one), "bind to processor", std::to_string(processor));
    ::sched_setaffinity(0, sizeof before, &before);
}

class FaultSearch {
  public:
    explicit FaultSearch(const Document& document) : document_(document) {}

    std::vector<MachineFault> run() {
        check_master();
        if (const DocumentValue* const pools = document_.root.find("pool"); pools != nullptr) {
            for (const DocumentValue& pool : pools->children)
                check_pool(pool);
        }
        if (const DocumentValue* const modules = document_.root.find("module"); modules != nullptr) {
            for (const DocumentValue& module : modules->children)
                check_module_logs(module, "module." + module.name);
        }
        return std::move(faults_);
    }

  private:
    using Subject = MachineFault::Subject;

    template <class Attempt>
    void attempt(const DocumentValue& value, const std::string& key, Subject subject,
                 const Attempt& attempted) {
        try {
            attempted();
        } catch (const std::runtime_error& failure) {
            faults_.push_back({value.place, key, failure.what(), subject});
        } catch (const std::invalid_argument&) {
            // The value itself is wrong, which is found elsewhere.
        }
    }

    std::string absolute(const std::string& path) const {
        return (std::filesystem::path(document_.directory) / path).lexically_normal().string();
    }

    // The master makes its runtime folder before it opens what lies in there. Any folder that is missing may
    // be that one when its name could not be read.
    bool will_be_made(const std::string& folder) const {
        struct stat status {};
        const bool may_be_it = runtime_folder_.empty() || folder == runtime_folder_;
        return may_be_it && ::stat(folder.c_str(), &status) != 0 && errno == ENOENT;
    }

    void check_log(const DocumentValue& value, const std::string& key, Subject subject) {
        attempt(value, key, subject, [&] {
            const std::string name = absolute_log_target(value.text, document_.directory);
            const std::string path = name.substr(name.starts_with("fifo:") ? 5 : 0);
            if (log_target_fault(name).empty() && !will_be_made(folder_of(path))) check_log_target(name);
        });
    }

    void check_master() {
        const DocumentValue nothing;
        const DocumentValue* const found = document_.root.find("master");
        const DocumentValue& master = found != nullptr ? *found : nothing;
        check_runtime_folder(master);
        if (const DocumentValue* const log = find_text(master, "log_file"); log != nullptr)
            check_log(*log, "master.log_file", Subject::service);
    }

    void check_runtime_folder(const DocumentValue& master) {
        const DocumentValue* const named = master.find("runtime_dir");
        if (named != nullptr && named->kind != DocumentKind::text) return;
        std::string folder = absolute(
            named != nullptr ? named->text : std::string(MasterSettings::options().load({}).runtime_dir));
        if (folder.size() > 1 && folder.ends_with('/')) folder.pop_back();
        runtime_folder_ = folder;
        attempt(named != nullptr ? *named : master, "master.runtime_dir", Subject::service,
                [&] { check_folder(will_be_made(folder) ? folder_of(folder) : folder); });
    }

    void check_pool(const DocumentValue& pool) {
        const std::string path = "pool." + pool.name;
        if (const DocumentValue* const list = find_text(pool, "cpu_affinity"); list != nullptr) {
            for (const unsigned processor :
                 parse_processor_list(list->text).value_or(std::vector<unsigned>()))
                attempt(*list, path + ".cpu_affinity", Subject::service, [&] { check_processor(processor); });
        }
        const DocumentValue* const listeners = pool.find("listen");
        if (listeners == nullptr || listeners->kind != DocumentKind::list) return;
        for (std::size_t index = 0; index < listeners->children.size(); ++index)
            check_listener(listeners->children[index], path + ".listen[" + std::to_string(index) + "].");
    }

    void check_listener(const DocumentValue& listener, const std::string& path) {
        const DocumentValue* const text = find_text(listener, "address");
        // An address that may come later, or never.
        if (text == nullptr || may_be_true(listener, "freebind") || may_be_true(listener, "optional")) return;
        attempt(*text, path + "address", Subject::service, [&] {
            // The other addresses that it stands for are optional.
            const Address address = Address::parse(listener_places(text->text).front(), document_.directory);
            if (!address.is_unix()) return check_inet_address(address, text->text);
            if (!address.is_unix_path()) return;
            check_unix_path(address);
            check_gifts(listener, path);
        });
    }

    // Where a socket is in its place it may be the running service's.
    void check_unix_path(const Address& address) const {
        const std::string path = address.unix_path();
        struct stat there {};
        if (::lstat(path.c_str(), &there) == 0 && !S_ISSOCK(there.st_mode))
            throw_error(EEXIST, "bind", address.text() + ": not a socket");
        if (!will_be_made(folder_of(path))) check_folder(folder_of(path));
    }

    void check_gifts(const DocumentValue& listener, const std::string& path) {
        if (has_capability(CAP_CHOWN)) return;
        if (const DocumentValue* const owner = find_text(listener, "unix_owner"); owner != nullptr)
            attempt(*owner, path + "unix_owner", Subject::service,
                    [&] { check_gift(UnixId::user, owner->text); });
        if (const DocumentValue* const group = find_text(listener, "unix_group"); group != nullptr)
            attempt(*group, path + "unix_group", Subject::service,
                    [&] { check_gift(UnixId::group, group->text); });
    }

    void check_module_logs(const DocumentValue& table, const std::string& path) {
        if (table.kind != DocumentKind::table) return;
        for (const DocumentValue& value : table.children) {
            const std::string key = path + "." + value.name;
            if (value.kind == DocumentKind::text && !value.text.empty() && may_be_master_file(value.name))
                check_log(value, key, Subject::possible_log);
            check_module_logs(value, key);
            if (value.kind != DocumentKind::list) continue;
            for (std::size_t index = 0; index < value.children.size(); ++index)
                check_module_logs(value.children[index], key + "[" + std::to_string(index) + "]");
        }
    }

    const Document& document_;
    std::string runtime_folder_;  // absolute; empty: its name could not be read
    std::vector<MachineFault> faults_;
};

}  // namespace

std::vector<MachineFault> find_machine_faults(const Document& document) {
    return FaultSearch(document).run();
}

}  // namespace drover
