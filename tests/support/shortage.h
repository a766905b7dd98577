// NoDescriptors takes every free descriptor from another process for as long as it lives: what the process
// has open stays, whatever it wants to open is EMFILE. It does not answer new callers meanwhile. Runs in:
// tests.
#pragma once

#include "core/system_error.h"

#include <filesystem>
#include <string>

#include <sys/resource.h>
#include <sys/types.h>

namespace drover::test {

class NoDescriptors {
  public:
    explicit NoDescriptors(pid_t pid, int left = 0) : pid_(pid) {
        check_call(::prlimit(pid_, RLIMIT_NOFILE, nullptr, &before_), "prlimit");
        const std::string folder = "/proc/" + std::to_string(pid) + "/fd/";
        rlim_t limit = 3;
        for (; left > 0 || std::filesystem::is_symlink(folder + std::to_string(limit)); ++limit) {
            if (!std::filesystem::is_symlink(folder + std::to_string(limit))) --left;
        }
        const rlimit none{.rlim_cur = limit, .rlim_max = before_.rlim_max};
        check_call(::prlimit(pid_, RLIMIT_NOFILE, &none, nullptr), "prlimit");
    }
    ~NoDescriptors() { ::prlimit(pid_, RLIMIT_NOFILE, &before_, nullptr); }
    NoDescriptors(const NoDescriptors&) = delete;
    NoDescriptors& operator=(const NoDescriptors&) = delete;

  private:
    pid_t pid_;
    rlimit before_{};
};

}  // namespace drover::test
