#include "core/program_pages.h"

#include "tests/support/in_child.h"

#include <fstream>
#include <string>

#include <doctest/doctest.h>

using namespace drover;
using namespace drover::test;

namespace {

// Resident pages of files, kB (proc(5)).
unsigned long resident_file_kb() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with("RssFile:")) return std::stoul(line.substr(8));
    }
    return 0;
}

}  // namespace

TEST_CASE("code and constants leave the process, data stays, and everything still works") {
    in_child([] {
        static std::string written = "before";
        const unsigned long before = resident_file_kb();
        release_program_pages();
        const unsigned long after = resident_file_kb();
        written += " and after";
        if (written != "before and after") return 1;
        return after < before ? 0 : 2;
    });
}
