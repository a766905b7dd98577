#include "conf/machine_faults.h"

#include "conf/master_files.h"
#include "conf/settings.h"
#include "core/address.h"
#include "core/log_target.h"
#include "core/system_error.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <system_error>

#include <fcntl.h>
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

bool is_true(const DocumentValue& table, const char* name) {
    const DocumentValue* const value = table.find(name);
    return value != nullptr && value->kind == DocumentKind::boolean && value->boolean;
}

// Throws std::system_error when nothing can be made in it.
void check_folder(const std::string& path) {
    struct stat status {};
    check_call(::stat(path.c_str(), &status), "open", path);
    if (!S_ISDIR(status.st_mode)) throw_error(ENOTDIR, "open", path);
    check_call(::faccessat(AT_FDCWD, path.c_str(), W_OK | X_OK, AT_EACCESS), "write to", path);
}

std::string folder_of(const std::string& path) {
    const std::string folder = std::filesystem::path(path).parent_path().string();
    return folder.empty() ? "." : folder;
}

bool may_bind_low_ports() noexcept {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {};
    return ::syscall(SYS_capget, &header, sets) == 0 && (sets[0].effective & (1U << CAP_NET_BIND_SERVICE));
}

unsigned first_free_port() {
    constexpr unsigned usual = 1024;
    unsigned port = usual;
    std::ifstream stream("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    return stream >> port ? port : usual;
}

void check_inet_address(const Address& address) {
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
    if (address.port() != 0 && address.port() < first_free_port() && !may_bind_low_ports())
        throw_error(EACCES, "bind", address.text());
}

// Where a socket is in its place it may be the running service's.
void check_unix_address(const Address& address) {
    if (!address.is_unix_path()) return;
    const std::string path = address.unix_path();
    struct stat there {};
    if (::lstat(path.c_str(), &there) == 0 && !S_ISSOCK(there.st_mode))
        throw_error(EEXIST, "bind", address.text() + ": not a socket");
    check_folder(folder_of(path));
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
    template <class Attempt>
    void attempt(const DocumentValue& value, const std::string& key, bool module_log,
                 const Attempt& attempted) {
        try {
            attempted();
        } catch (const std::system_error& failure) {
            faults_.push_back({master_file_place(document_, value, key), failure.what(), module_log});
        } catch (const std::invalid_argument&) {
            // What it says is wrong, which is found elsewhere.
        }
    }

    std::string absolute(const std::string& path) const {
        return (std::filesystem::path(document_.directory) / path).lexically_normal().string();
    }

    void check_log(const DocumentValue& value, const std::string& key, bool module_log) {
        attempt(value, key, module_log, [&] {
            const std::string name = absolute_log_target(value.text, document_.directory);
            if (log_target_fault(name).empty()) check_log_target(name);
        });
    }

    void check_master() {
        const DocumentValue nothing;
        const DocumentValue* const found = document_.root.find("master");
        const DocumentValue& master = found != nullptr ? *found : nothing;
        if (const DocumentValue* const log = find_text(master, "log_file"); log != nullptr)
            check_log(*log, "master.log_file", false);
        const DocumentValue* const named = find_text(master, "runtime_dir");
        const std::string folder = absolute(
            named != nullptr ? named->text : std::string(MasterSettings::options().load({}).runtime_dir));
        struct stat status {};
        attempt(named != nullptr ? *named : master, "master.runtime_dir", false,
                [&] { check_folder(::stat(folder.c_str(), &status) == 0 ? folder : folder_of(folder)); });
    }

    void check_pool(const DocumentValue& pool) {
        const std::string path = "pool." + pool.name;
        if (const DocumentValue* const list = find_text(pool, "cpu_affinity"); list != nullptr) {
            for (const unsigned processor :
                 parse_processor_list(list->text).value_or(std::vector<unsigned>()))
                attempt(*list, path + ".cpu_affinity", false, [&] { check_processor(processor); });
        }
        const DocumentValue* const listeners = pool.find("listen");
        if (listeners == nullptr || listeners->kind != DocumentKind::list) return;
        for (std::size_t index = 0; index < listeners->children.size(); ++index)
            check_listener(listeners->children[index],
                           path + ".listen[" + std::to_string(index) + "].address");
    }

    void check_listener(const DocumentValue& listener, const std::string& key) {
        const DocumentValue* const text = find_text(listener, "address");
        // An address that may come later, or never.
        if (text == nullptr || is_true(listener, "freebind") || is_true(listener, "optional")) return;
        attempt(*text, key, false, [&] {
            const Address address = Address::parse(text->text, document_.directory);
            address.is_unix() ? check_unix_address(address) : check_inet_address(address);
        });
    }

    void check_module_logs(const DocumentValue& table, const std::string& path) {
        if (table.kind != DocumentKind::table) return;
        for (const DocumentValue& value : table.children) {
            const std::string key = path + "." + value.name;
            if (value.kind == DocumentKind::text && !value.text.empty() && may_be_master_file(value.name))
                check_log(value, key, true);
            check_module_logs(value, key);
            if (value.kind != DocumentKind::list) continue;
            for (std::size_t index = 0; index < value.children.size(); ++index)
                check_module_logs(value.children[index], key + "[" + std::to_string(index) + "]");
        }
    }

    const Document& document_;
    std::vector<MachineFault> faults_;
};

}  // namespace

std::vector<MachineFault> find_machine_faults(const Document& document) {
    return FaultSearch(document).run();
}

}  // namespace drover
