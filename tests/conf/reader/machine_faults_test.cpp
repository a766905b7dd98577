#include "conf/reader/machine_faults.h"

#include "conf/reader/toml_reader.h"
#include "core/base/system_error.h"
#include "tests/conf/toy_modules.h"
#include "tests/support/contains.h"
#include "tests/support/in_child.h"
#include "tests/support/temporary_folder.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <grp.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace drover;
using namespace drover::test;

namespace {

// Of a configuration in a folder that can be written to.
struct Trial {
    TemporaryFolder folder;

    Document document_of(const std::string& text) const {
        return parse_toml(text, folder.file("drover.toml"));
    }
    std::vector<MachineFault> faults_of(const std::string& text) const {
        return find_machine_faults(document_of(text));
    }
    std::string only_fault_of(const std::string& text) const {
        const std::vector<MachineFault> faults = faults_of(text);
        REQUIRE(faults.size() == 1);
        const std::string place = document_of(text).place_text(faults[0].place);
        return place.substr(place.rfind('/') + 1) + ": " + faults[0].key + ": " + faults[0].text;
    }
    bool is_empty() const { return std::filesystem::is_empty(folder.path()); }
};

std::string listening(const std::string& address, const std::string& more = "") {
    return "[pool.a]\n[[pool.a.listen]]\naddress = '" + address + "'\nmodule = 'echo'\n" + more;
}

}  // namespace

TEST_CASE("a configuration that can be had has no faults, and looking leaves nothing behind") {
    const Trial trial;
    CHECK(trial
              .faults_of("[master]\nlog_file = 'a.log'\n[module.m]\naccess_log = 'b.log'\n" +
                         listening("127.0.0.1:8080"))
              .empty());
    CHECK(trial.faults_of("[master]\nlog_file = 'stdout'\n[module.m]\naccess_log = '/dev/stderr'\n").empty());
    CHECK(trial.faults_of("[master]\nlog_file = 'fifo:f'\n" + listening("unix:a.sock")).empty());
    CHECK(trial.faults_of("[master]\nlog_file = '/dev/null'\n" + listening("unix:@abstract")).empty());
    CHECK(trial.faults_of("[pool]\na = 3\n[module]\nb = 1").empty());
    CHECK(trial.is_empty());
}

TEST_CASE("a log whose folder is not there, or that is something else, is named with its key") {
    const Trial trial;
    CHECK(trial.only_fault_of("[master]\nlog_file = 'none/a.log'\n")
              .starts_with("drover.toml:2:12: master.log_file: open "));
    CHECK(contains(trial.only_fault_of("[master]\nlog_file = '/'\n"), "No such file"));
    CHECK(contains(trial.only_fault_of("[master]\nlog_file = '.'\n"), "it is a directory"));
    CHECK(contains(trial.only_fault_of("[master]\nlog_file = 'fifo:none/f'\n"), "No such file"));
    CHECK(contains(trial.only_fault_of("[master]\nlog_file = 'journal:/none'\n"), "as the journal"));
    const std::vector<MachineFault> faults =
        trial.faults_of("[[module.m.site]]\naccess_log = 'none/b.log'\n[module.m]\nlog = '/none/x'\n");
    REQUIRE(faults.size() == 2);
    CHECK((faults[0].place == SourcePlace{2, 14} && faults[0].key == "module.m.site[0].access_log"));
    CHECK(faults[1].key == "module.m.log");
    for (const MachineFault& fault : faults)
        CHECK(fault.subject == MachineFault::Subject::possible_log);
}

TEST_CASE("a missing folder is no fault while the name of the runtime folder could not be read") {
    const Trial trial;
    const std::string unread = "[master]\nruntime_dir = \"${DROVER_NOT_SET}\"\nlog_file = 'run/log'\n";
    CHECK(trial.faults_of(unread + listening("unix:run/web.sock")).empty());
    write_file(trial.folder.file("file"), "");
    CHECK(trial.faults_of(unread + listening("unix:file/web.sock")).size() == 1);
}

TEST_CASE("an address that the machine does not have is named, one whose port is taken is not") {
    const Trial trial;
    CHECK(trial.only_fault_of(listening("192.0.2.7:8080"))
              .starts_with("drover.toml:3:11: pool.a.listen[0].address: bind 192.0.2.7:8080: Cannot assign"));
    CHECK(contains(trial.only_fault_of(listening("udp:192.0.2.7:53")), "Cannot assign"));
    CHECK(trial.faults_of(listening("192.0.2.7:8080", "freebind = true\n")).empty());
    CHECK(trial.faults_of(listening("192.0.2.7:8080", "optional = true\n")).empty());

    const UniqueFd taken(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof name;
    REQUIRE(::bind(taken.get(), reinterpret_cast<sockaddr*>(&name), size) == 0);
    REQUIRE(::listen(taken.get(), 1) == 0);
    REQUIRE(::getsockname(taken.get(), reinterpret_cast<sockaddr*>(&name), &size) == 0);
    CHECK(trial.faults_of(listening("127.0.0.1:" + std::to_string(ntohs(name.sin_port)))).empty());
}

TEST_CASE("a unix socket needs a folder, and no other file in its place") {
    const Trial trial;
    CHECK(contains(trial.only_fault_of(listening("unix:none/a.sock")), "No such file"));
    write_file(trial.folder.file("a.sock"), "");
    CHECK(contains(trial.only_fault_of(listening("unix:a.sock")), "not a socket"));
}

TEST_CASE("what lies in the runtime folder can be had: the master makes that first") {
    const Trial trial;
    CHECK(trial.faults_of(listening("unix:run/web.sock")).empty());
    CHECK(trial
              .faults_of("[master]\nruntime_dir = 'state/'\nlog_file = 'fifo:state/log'\n" +
                         listening("unixgram:state/a.sock") + "[module.m]\naccess_log = 'state/access.log'\n")
              .empty());
    CHECK(contains(trial.only_fault_of("[master]\nruntime_dir = 'state'\n" + listening("unix:run/a.sock")),
                   "No such file"));
    CHECK(trial.is_empty());
    write_file(trial.folder.file("run"), "");
    CHECK(trial.faults_of(listening("unix:run/web.sock")).size() == 2);
}

TEST_CASE("localhost is tried, and optional and freebind are what the environment says") {
    const Trial trial;
    CHECK(trial.faults_of(listening("localhost:8080")).empty());
    ::setenv("DROVER_T1", "true", 1);
    CHECK(trial.faults_of(listening("192.0.2.7:8080", "optional = \"${DROVER_T1}\"\n")).empty());
    ::setenv("DROVER_T1", "false", 1);
    CHECK(trial.faults_of(listening("192.0.2.7:8080", "freebind = \"${DROVER_T1}\"\n")).size() == 1);
    ::unsetenv("DROVER_T1");
    CHECK(trial.faults_of(listening("192.0.2.7:8080", "freebind = \"${DROVER_T1}\"\n")).empty());
}

TEST_CASE("an ordinary user may give a socket to itself and its groups, and may not have low ports") {
    const Trial trial;
    std::filesystem::permissions(trial.folder.path(), std::filesystem::perms::all);
    unsigned first_free_port = 1024;
    std::ifstream("/proc/sys/net/ipv4/ip_unprivileged_port_start") >> first_free_port;
    in_child([&] {
        constexpr uid_t user = 4711;
        const gid_t others = 4713;
        if (::geteuid() == 0 && (::setgroups(1, &others) != 0 || ::setresgid(4712, 4712, 4712) != 0 ||
                                 ::setresuid(user, user, user) != 0))
            return 2;
        const std::string own = "unix_owner = '" + std::to_string(::geteuid()) + "'\nunix_group = '" +
                                std::to_string(::getegid()) + "'\n";
        const auto texts = [&](const std::string& more) {
            std::string all;
            for (const MachineFault& fault : trial.faults_of(listening("unix:a.sock", more)))
                all += fault.key + ": " + fault.text + "\n";
            return all;
        };
        const bool may = texts(own).empty() && texts("unix_owner = 'nobody-of-this-name'\n").empty();
        const bool may_not = texts("unix_owner = '0'\nunix_group = 'root'\n") ==
                             "pool.a.listen[0].unix_owner: chown to user 0: Operation not permitted\n"
                             "pool.a.listen[0].unix_group: chown to group root: Operation not permitted\n";
        const std::size_t faults = first_free_port > 1 ? 1 : 0;
        const bool low_ports = trial.faults_of(listening("localhost:1")).size() == faults;
        return may && may_not && low_ports ? 0 : 1;
    });
}

TEST_CASE("a runtime_dir that cannot be made, and a processor that is not there") {
    const Trial trial;
    CHECK(trial.only_fault_of("[master]\nruntime_dir = 'none/run'\n")
              .starts_with("drover.toml:2:15: master.runtime_dir: open "));
    write_file(trial.folder.file("file"), "");
    CHECK(contains(trial.only_fault_of("[master]\nruntime_dir = 'file'\n"), "Not a directory"));
    cpu_set_t before;
    REQUIRE(::sched_getaffinity(0, sizeof before, &before) == 0);
    CHECK(trial.only_fault_of("[pool.a]\ncpu_affinity = '0,1023'\n") ==
          "drover.toml:2:16: pool.a.cpu_affinity: bind to processor 1023: Invalid argument");
    cpu_set_t after;
    REQUIRE(::sched_getaffinity(0, sizeof after, &after) == 0);
    CHECK(CPU_EQUAL(&before, &after));
}

TEST_CASE("too long a path of the control socket is a fault of the file") {
    const std::string longest = "/" + std::string(107 - 1 - 13, 'r');  // with "/control.sock"
    CHECK(toy::check("[pool.a]\n[master]\nruntime_dir = '" + longest + "'").findings.empty());
    const auto findings = toy::check("[pool.a]\n[master]\nruntime_dir = '" + longest + "r'").findings;
    REQUIRE(findings.size() == 1);
    CHECK(findings[0] ==
          "/etc/toy.toml:3:15: master.runtime_dir: the path of the control socket would have 108 bytes, and "
          "the "
          "kernel takes 107; write a shorter directory, such as \"/run/drover\"");
}
