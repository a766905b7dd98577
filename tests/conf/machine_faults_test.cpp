#include "conf/machine_faults.h"

#include "conf/toml_reader.h"
#include "core/system_error.h"
#include "tests/conf/toy_modules.h"
#include "tests/support/contains.h"
#include "tests/support/temporary_folder.h"

#include <filesystem>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>

using namespace drover;
using namespace drover::test;

namespace {

// Of a configuration in a folder that can be written to.
struct Trial {
    TemporaryFolder folder;

    std::vector<MachineFault> faults_of(const std::string& text) const {
        return find_machine_faults(parse_toml(text, folder.file("drover.toml")));
    }
    std::string only_fault_of(const std::string& text) const {
        const std::vector<MachineFault> faults = faults_of(text);
        REQUIRE(faults.size() == 1);
        return faults[0].place.substr(faults[0].place.rfind('/') + 1) + ": " + faults[0].text;
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
    CHECK(faults[0].place.ends_with("drover.toml:2:14: module.m.site[0].access_log"));
    CHECK(faults[1].place.ends_with("module.m.log"));
    CHECK((faults[0].module_log && faults[1].module_log));
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
