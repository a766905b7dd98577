// The Debian packages: made, judged by lintian, unpacked into a scratch root and used from there.
#include "tests/support/contains.h"
#include "tests/support/master_under_test.h"

#include <filesystem>
#include <set>

#include <doctest/doctest.h>

namespace drover::test {
namespace {

namespace fs = std::filesystem;

std::string run(const std::string& command) {
    const CommandResult result =
        run_command({"bash", "-c", command}, {}, Deadline(std::chrono::seconds(180)));
    CHECK_MESSAGE(result.code() == 0, command << ": " << result.output << result.errors);
    return result.output;
}

// All packages, in one root.
struct Packages {
    Packages() {
        run("cd " DROVER_BUILD_DIR " && cpack -G DEB -B " + folder.file("made"));
        for (const auto& entry : fs::directory_iterator(folder.file("made"))) {
            if (entry.path().extension() != ".deb") continue;
            names.insert(entry.path().filename().string());
            run("dpkg-deb -x " + entry.path().string() + " " + root);
        }
    }
    std::string file(const std::string& name) const { return root + "/" + name; }
    std::string control(const std::string& package) const {
        return run("dpkg-deb -f " + folder.file("made") + "/" + package + "_*.deb");
    }

    TemporaryFolder folder;
    std::string root = folder.file("root");
    std::set<std::string> names;
};

}  // namespace

TEST_CASE("the packages are what Debian wants, and work") {
    const Packages packages;
    REQUIRE(packages.names.size() == 3);
    const std::string lintian =
        run("lintian --fail-on error --allow-root " + packages.folder.file("made") + "/*.deb");
    CHECK_FALSE(contains(lintian, "E: "));

    for (const char* name :
         {"usr/bin/drover", "lib/systemd/system/drover.service", "etc/drover/drover.toml",
          "etc/logrotate.d/drover", "usr/share/man/man1/drover.1.gz", "usr/share/man/man5/drover.toml.5.gz",
          "usr/share/bash-completion/completions/drover", "usr/share/doc/drover/copyright",
          "usr/share/doc/libdrover-dev/changelog.Debian.gz", "usr/lib/libdrover.so.0.1",
          "usr/lib/libdrover.a", "usr/include/drover/module.h"})
        CHECK_MESSAGE(fs::exists(packages.file(name)), name);
    CHECK(contains(packages.control("libdrover-dev"), "Depends: libdrover0.1 (= 0.1.0-1), libevent-dev"));
    CHECK(contains(packages.control("libdrover-dev"), "libtomlplusplus-dev, pkgconf"));
    CHECK_FALSE(contains(read_file(packages.file("usr/lib/pkgconfig/drover.pc")), "rpath"));
    CHECK_FALSE(contains(packages.control("drover"), "libdrover0.1"));

    // The unit and logrotate name the program and the file that are there.
    const std::string unit = read_file(packages.file("lib/systemd/system/drover.service"));
    CHECK(contains(unit, "ExecStart=/usr/bin/drover run -c /etc/drover/drover.toml"));
    CHECK(contains(read_file(packages.file("etc/drover/drover.toml")),
                   "log_file = \"/var/log/drover/drover.log\""));
    CHECK(contains(read_file(packages.file("etc/logrotate.d/drover")), "/var/log/drover/*.log"));
    const std::string program = packages.file("usr/bin/drover");
    // The package makes the folder of the log on the machine that it is installed on.
    const TemporaryFolder machine;
    run("sed 's|/var/log/drover|" + machine.path() + "|' " + packages.file("etc/drover/drover.toml") + " > " +
        machine.file("drover.toml"));
    CHECK(run(program + " check -c " + machine.file("drover.toml")) == "configuration is valid\n");
    CHECK(contains(run("zcat " + packages.file("usr/share/man/man1/drover.1.gz")), "probation"));
    CHECK(contains(run("zcat " + packages.file("usr/share/man/man5/drover.toml.5.gz")), "drain_timeout"));
    run("source " + packages.file("usr/share/bash-completion/completions/drover") + " && complete -p drover");

    // Hardened as Debian's own programs are; the library likewise, which is in any case position-independent.
    const std::string elf = run("readelf -hldW --dyn-syms " + program);
    for (const char* sign : {"DYN (Position-Independent Executable file)", "GNU_RELRO", "BIND_NOW",
                             "__stack_chk_fail", "_chk@GLIBC", "_ZSt21__glibcxx_assert_fail"})
        CHECK_MESSAGE(contains(elf, sign), sign);
    const std::string library = run("readelf -ldW --dyn-syms " + packages.file("usr/lib/libdrover.so.0.1"));
    for (const char* sign : {"GNU_RELRO", "BIND_NOW", "__stack_chk_fail", "_chk@GLIBC"})
        CHECK_MESSAGE(contains(library, sign), sign);

    // Out of 10; the higher the more the service may do.
    CHECK(contains(run("systemd-analyze security --offline=true --threshold=30 " +
                       packages.file("lib/systemd/system/drover.service")),
                   "Overall exposure level"));

    MasterUnderTest master({}, {.program = program});
    CHECK(master.get() == "first");
    CHECK(run(program + " reload --fresh -c " + master.config_path()).starts_with("generation 2 serves"));
    CHECK(master.get() == "first");
    master.finish();

    // A server is built with what the development package has.
    run("cmake -S " DROVER_SOURCE_DIR "/examples/hello -B " + packages.folder.file("hello") +
        " -DCMAKE_PREFIX_PATH=" + packages.root +
        "/usr -DCMAKE_CXX_COMPILER=" DROVER_COMPILER " && cmake --build " + packages.folder.file("hello"));
    CHECK(contains(run(packages.folder.file("hello") + "/hello help"), "Usage: hello COMMAND"));
}

}  // namespace drover::test
