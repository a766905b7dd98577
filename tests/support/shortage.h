// NoDescriptors takes every free descriptor from another process for as long as it lives: what the process
// has open stays, whatever it wants to open is EMFILE. It does not answer new callers meanwhile. Runs in:
// tests.
#pragma once

#include "core/base/system_error.h"

#include <filesystem>
#include <string>

#include <sys/resource.h>
#include <sys/types.h>

namespace drover::test {

class NoDescriptors {
  public:
    // Not even those that become free meanwhile.
    static constexpr int none_at_all = -1;

    explicit NoDescriptors(pid_t pid, int left = 0) : pid_(pid) {
        check_call(::prlimit(pid_, RLIMIT_NOFILE, nullptr, &before_), "prlimit");
        const std::string folder = "/proc/" + std::to_string(pid) + "/fd/";
        rlim_t limit = 3;
        const auto is_open = [&] { return std::filesystem::is_symlink(folder + std::to_string(limit)); };
        for (; left > 0 || (left == 0 && is_open()); ++limit) {
            if (!is_open()) --left;
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
