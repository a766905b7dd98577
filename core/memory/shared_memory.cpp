#include "core/memory/shared_memory.h"

#include "core/base/system_error.h"

#include <string>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

namespace drover {
namespace {

constexpr int all_seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

Mapping map(int fd, std::size_t offset, std::size_t size, int protection, int flags) {
    void* const data = ::mmap(nullptr, size, protection, flags, fd, static_cast<off_t>(offset));
    if (data == MAP_FAILED) throw_errno("mmap");
    return {data, size};
}

}  // namespace

Mapping& Mapping::operator=(Mapping&& other) noexcept {
    if (this != &other) {
        if (data_ != nullptr) ::munmap(data_, size_);
        data_ = std::exchange(other.data_, nullptr);
        size_ = std::exchange(other.size_, 0);
    }
    return *this;
}

Mapping::~Mapping() {
    if (data_ != nullptr) ::munmap(data_, size_);
}

void Mapping::keep_from_children() const {
    check_call(::madvise(data_, size_, MADV_DONTFORK), "madvise", "MADV_DONTFORK");
}

UniqueFd create_memfd(const char* name, std::size_t size, bool reserve) {
    UniqueFd fd(check_call(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING), "memfd_create", name));
    check_call(::fchmod(fd.get(), 0600), "fchmod", name);
    check_call(::ftruncate(fd.get(), static_cast<off_t>(size)), "ftruncate", name);
    if (reserve && size > 0) reserve_memory(fd.get(), 0, size, name);
    return fd;
}

void reserve_memory(int fd, std::size_t offset, std::size_t size, std::string_view what) {
    int error = EINTR;
    while (error == EINTR)
        error = ::posix_fallocate(fd, static_cast<off_t>(offset), static_cast<off_t>(size));
    if (error != 0) throw_error(error, "posix_fallocate", what);
}

UniqueFd reopen_read_only(int fd) {
    const std::string path = "/proc/self/fd/" + std::to_string(fd);
    return UniqueFd(check_call(::open(path.c_str(), O_RDONLY | O_CLOEXEC), "open", path));
}

Mapping map_shared_writable(int fd, std::size_t offset, std::size_t size) {
    return map(fd, offset, size, PROT_READ | PROT_WRITE, MAP_SHARED);
}

Mapping map_shared_read_only(int fd, std::size_t offset, std::size_t size) {
    return map(fd, offset, size, PROT_READ, MAP_SHARED);
}

Mapping map_private_read_only(int fd, std::size_t size) {
    return map(fd, 0, size, PROT_READ, MAP_PRIVATE);
}

void seal_memory(int fd) {
    check_call(::fcntl(fd, F_ADD_SEALS, all_seals), "fcntl", "F_ADD_SEALS");
}

bool is_sealed(int fd) noexcept {
    const int seals = ::fcntl(fd, F_GET_SEALS);
    return seals >= 0 && (seals & all_seals) == all_seals;
}

bool is_sealed_against_shrinking(int fd) noexcept {
    const int seals = ::fcntl(fd, F_GET_SEALS);
    return seals >= 0 && (seals & F_SEAL_SHRINK) != 0;
}

std::size_t file_size(int fd) {
    struct stat status {};
    check_call(::fstat(fd, &status), "fstat");
    return static_cast<std::size_t>(status.st_size);
}

}  // namespace drover
