#include "core/process/program_pages.h"

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>

#include <sys/mman.h>

namespace drover {

void release_program_pages() noexcept {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> maps(std::fopen("/proc/self/smaps", "re"),
                                                               &std::fclose);
    if (maps == nullptr) return;
    // proc(5): a line "begin-end rwxp offset device inode path", then lines "Name:  N kB" about it. A private
    // mapping of a file that has anonymous pages was written to, by relocation if by nobody else: those pages
    // exist nowhere else.
    bool is_constant = false;
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    char line[512];
    while (std::fgets(line, sizeof line, maps.get()) != nullptr) {
        std::uintptr_t first = 0;
        std::uintptr_t last = 0;
        char permissions[5] = {};
        unsigned long anonymous_kb = 0;
        if (std::sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s", &first, &last, permissions) == 3) {
            begin = first;
            end = last;
            const bool read_only = permissions[1] == '-' && permissions[3] == 'p';
            is_constant = read_only && std::strchr(line, '/') != nullptr;
        } else if (is_constant && std::sscanf(line, "Anonymous: %lu kB", &anonymous_kb) == 1) {
            if (anonymous_kb == 0) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
            is_constant = false;
        }
    }
}

}  // namespace drover
