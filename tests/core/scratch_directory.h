// ScratchDirectory is a directory of the test's own, removed with everything in it at the end. Runs in:
// tests.
#pragma once

#include "core/system_error.h"

#include <cstdlib>
#include <filesystem>
#include <string>

namespace drover::test {

class ScratchDirectory {
  public:
    ScratchDirectory() : path_(std::filesystem::temp_directory_path() / "drover-core-test-XXXXXX") {
        if (::mkdtemp(path_.data()) == nullptr) throw_errno("mkdtemp", path_);
    }
    ~ScratchDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    ScratchDirectory(const ScratchDirectory&) = delete;
    ScratchDirectory& operator=(const ScratchDirectory&) = delete;

    const std::string& path() const { return path_; }
    std::string file(const char* name) const { return path_ + "/" + name; }

  private:
    std::string path_;
};

}  // namespace drover::test
