#include "tests/hostile/memory_attacks.h"

#include "core/base/unique_fd.h"
#include "core/counters/counter_layout.h"

#include <charconv>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace drover::hostile {

namespace {

constexpr std::size_t page = 4096;

struct Mapped {
    std::byte* data = nullptr;
    std::size_t size = 0;
    bool writable = false;
    bool is_row = false;
    std::string range;  // its name in /proc/PID/map_files
};

// What is mapped here of the service's counters.
std::vector<Mapped> find_mapped() {
    std::vector<Mapped> found;
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        const bool row = line.find("/memfd:drover-row") != std::string::npos;
        if (!row && line.find("/memfd:drover-counters") == std::string::npos) continue;
        const std::string range = line.substr(0, line.find(' '));
        std::uintptr_t begin = 0;
        std::uintptr_t end = 0;
        const auto first = std::from_chars(range.data(), range.data() + range.size(), begin, 16);
        std::from_chars(first.ptr + 1, range.data() + range.size(), end, 16);
        found.push_back(
            {reinterpret_cast<std::byte*>(begin), end - begin, line[line.find(' ') + 2] == 'w', row, range});
    }
    return found;
}

Mapped find_row() {
    for (const Mapped& mapped : find_mapped())
        if (mapped.is_row && mapped.writable) return mapped;
    throw std::runtime_error("there is no row");
}

// Whether a store there would go into memory. Without a signal: the kernel says EFAULT where we would die.
bool takes_store(std::byte* at) {
    const UniqueFd zero(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
    return ::read(zero.get(), at, 1) == 1;
}

bool shows_table(const std::byte* at) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return false;
    const UniqueFd reading(ends[0]);
    const UniqueFd writing(ends[1]);
    std::uint64_t word = 0;
    if (::write(writing.get(), at, sizeof word) != sizeof word) return false;
    return ::read(reading.get(), &word, sizeof word) == sizeof word && word == TableHeader::expected_magic;
}

// The one Linux call that maps any page of a file where another one of it is mapped.
int remap_pages(std::byte* at, std::size_t file_page) {
    return static_cast<int>(::syscall(SYS_remap_file_pages, at, page, 0, file_page, 0));
}

class Breaches {
  public:
    void note(bool worked, const std::string& what) {
        if (worked) text_ += what + "\n";
    }
    const std::string& text() const { return text_; }

  private:
    std::string text_;
};

void attack_table(const Mapped& table, Breaches& breaches) {
    breaches.note(table.writable, "the table is writable");
    breaches.note(::mprotect(table.data, page, PROT_READ | PROT_WRITE) == 0, "mprotect of the table");
    breaches.note(::madvise(table.data, table.size, MADV_REMOVE) == 0, "a hole in the table");
    breaches.note(remap_pages(table.data, 0) == 0 && takes_store(table.data),
                  "remap_file_pages of the table");
    void* const twin = ::mremap(table.data, 0, table.size, MREMAP_MAYMOVE);
    if (twin == MAP_FAILED) return;
    breaches.note(::mprotect(twin, table.size, PROT_READ | PROT_WRITE) == 0, "mprotect of the table's twin");
    ::munmap(twin, table.size);
}

// On a twin of the row: the worker counts in the row itself.
void attack_row(const Mapped& row, Breaches& breaches) {
    constexpr std::size_t more = 64 * page;
    breaches.note(::madvise(row.data, row.size, MADV_REMOVE) == 0, "a hole in the row");
    void* twin = ::mremap(row.data, 0, row.size, MREMAP_MAYMOVE);
    if (twin == MAP_FAILED) return;
    auto* at = static_cast<std::byte*>(twin);
    for (std::size_t file_page = 0; file_page < 4096; ++file_page) {
        if (remap_pages(at, file_page) != 0) continue;
        breaches.note(shows_table(at), "remap_file_pages shows the table");
        breaches.note(file_page >= row.size / page && takes_store(at),
                      "remap_file_pages beyond the row, page " + std::to_string(file_page));
    }
    ::munmap(twin, row.size);

    // Each begins with a twin of its own.
    const auto grow = [&](const char* what, auto call) {
        void* const small = ::mremap(row.data, 0, row.size, MREMAP_MAYMOVE);
        if (small == MAP_FAILED) return;
        void* const large = call(small);
        if (large == MAP_FAILED) {
            ::munmap(small, row.size);
            return;
        }
        auto* const end = static_cast<std::byte*>(large) + row.size;
        for (std::size_t offset = 0; offset < more; offset += page)
            breaches.note(takes_store(end + offset) || shows_table(end + offset), what);
        ::munmap(large, row.size + more);
    };
    grow("mremap in place", [&](void* small) { return ::mremap(small, row.size, row.size + more, 0); });
    grow("mremap with a move",
         [&](void* small) { return ::mremap(small, row.size, row.size + more, MREMAP_MAYMOVE); });
    grow("mremap to an address", [&](void* small) {
        void* const room = ::mmap(nullptr, row.size + more, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return ::mremap(small, row.size, row.size + more, MREMAP_MAYMOVE | MREMAP_FIXED, room);
    });
    grow("mremap of a larger twin", [&](void* small) {
        ::munmap(small, row.size);
        return ::mremap(row.data, 0, row.size + more, MREMAP_MAYMOVE);
    });
    ::munmap(::mremap(row.data, 0, row.size, MREMAP_MAYMOVE | MREMAP_DONTUNMAP), row.size);
}

// Any descriptor, ours or another process's, that leads to counters that are not our own row.
void attack_descriptors(const std::string& folder, ino_t own_row, Breaches& breaches) {
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
        const std::string target = std::filesystem::read_symlink(entry.path(), ignored).string();
        if (target.find("memfd:drover-") == std::string::npos) continue;
        const UniqueFd fd(::open(entry.path().c_str(), O_RDWR | O_CLOEXEC));
        struct stat status {};
        if (!fd || ::fstat(fd.get(), &status) != 0 || status.st_ino == own_row) continue;
        void* const mapped = ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
        breaches.note(mapped != MAP_FAILED, "a writable mapping by " + entry.path().string());
        if (mapped != MAP_FAILED) ::munmap(mapped, page);
        breaches.note(::ftruncate(fd.get(), 0) == 0, "ftruncate by " + entry.path().string());
    }
}

ino_t inode_of_row() {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        if (line.find("/memfd:drover-row") == std::string::npos) continue;
        // address perms offset dev inode pathname
        std::size_t at = 0;
        for (int column = 0; column < 4; ++column)
            at = line.find_first_not_of(' ', line.find(' ', at));
        return std::stoul(line.substr(at));
    }
    return 0;
}

void fill(const Mapped& row, std::mt19937_64& random) {
    for (std::size_t offset = 0; offset < row.size; offset += sizeof(std::uint64_t)) {
        const std::uint64_t word = random();
        std::memcpy(row.data + offset, &word, sizeof word);
    }
}

}  // namespace

std::string climb_walls() {
    Breaches breaches;
    for (const Mapped& mapped : find_mapped()) {
        mapped.is_row ? attack_row(mapped, breaches) : attack_table(mapped, breaches);
        const std::string file = "/proc/self/map_files/" + mapped.range;
        const UniqueFd fd(::open(file.c_str(), O_RDWR | O_CLOEXEC));
        breaches.note(static_cast<bool>(fd) && !mapped.is_row, "map_files");
    }
    const ino_t own_row = inode_of_row();
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        const std::string name = entry.path().filename().string();
        if (name.find_first_not_of("0123456789") == std::string::npos)
            attack_descriptors(entry.path().string() + "/fd", own_row, breaches);
    }
    return breaches.text();
}

void scribble() {
    const Mapped row = find_row();
    std::thread([row] {
        std::mt19937_64 random(static_cast<std::uint64_t>(::getpid()));
        for (;;) {
            fill(row, random);
            ::poll(nullptr, 0, 1);
        }
    }).detach();
}

void leave_scribbler(const std::string& path) {
    const Mapped row = find_row();
    ::madvise(row.data, row.size, MADV_DOFORK);
    if (::fork() != 0) return;
    std::mt19937_64 random(static_cast<std::uint64_t>(::getpid()));
    while (::access(path.c_str(), F_OK) == 0) {
        fill(row, random);
        ::poll(nullptr, 0, 1);
    }
    ::_exit(0);
}

}  // namespace drover::hostile
