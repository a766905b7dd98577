// Whether a program that a test wants to use is there; a test without it says so and passes. Runs in: tests.
#pragma once

#include <filesystem>
#include <string>

#include <doctest/doctest.h>

namespace drover::test {

inline bool installed(const std::string& program) {
    for (const char* folder : {"/usr/bin/", "/usr/local/bin/", "/bin/", "/usr/sbin/"})
        if (std::filesystem::exists(folder + program)) return true;
    MESSAGE(program << " is not installed: not tested with it");
    return false;
}

}  // namespace drover::test
