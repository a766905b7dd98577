#include "core/process/program_pages.h"

#include "tests/support/in_child.h"

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>

#include <doctest/doctest.h>

using namespace drover;
using namespace drover::test;

namespace {

// What is mapped, kB, counted page by page (proc(5)).
unsigned long resident_kb() {
    std::ifstream rollup("/proc/self/smaps_rollup");
    for (std::string line; std::getline(rollup, line);) {
        if (line.starts_with("Rss:")) return std::stoul(line.substr(4));
    }
    return 0;
}

// Reads a byte of every page of this program's code; returns how many kB that are.
unsigned long touch_all_code() {
    const auto here = reinterpret_cast<std::uintptr_t>(&release_program_pages);
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        std::uintptr_t begin = 0;
        std::uintptr_t end = 0;
        if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR, &begin, &end) != 2) continue;
        if (here < begin || here >= end) continue;
        for (std::uintptr_t page = begin; page < end; page += 4096)
            static_cast<void>(*reinterpret_cast<const volatile char*>(page));
        return (end - begin) / 1024;
    }
    return 0;
}

}  // namespace

TEST_CASE("code and constants leave the process, data stays, and everything still works") {
    in_child([] {
        static std::string written = "before";
        const unsigned long code = touch_all_code();
        const unsigned long before = resident_kb();
        release_program_pages();
        const unsigned long after = resident_kb();
        written += " and after";
        if (written != "before and after" || code == 0) return 1;
        return after + code / 2 < before ? 0 : 2;
    });
}
