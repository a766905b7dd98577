// Memory shared by descriptor: memfds of mode 0600, their seals, and mappings. A memfd is created 0777 by the
// kernel, and any user who is given it could reopen it read-write through /proc: hence the fchmod.
// Runs in: every process.
#pragma once

#include "core/base/unique_fd.h"

#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

namespace drover {

// One mapping, unmapped by its owner. Special state: empty (data() is null).
class Mapping {
  public:
    Mapping() noexcept = default;
    Mapping(void* data, std::size_t size) noexcept : data_(data), size_(size) {}
    Mapping(Mapping&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
    Mapping& operator=(Mapping&& other) noexcept;
    ~Mapping();

    void* data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    std::span<const std::byte> bytes() const noexcept {
        return {static_cast<const std::byte*>(data_), size_};
    }
    std::span<std::byte> writable_bytes() const noexcept { return {static_cast<std::byte*>(data_), size_}; }

    // Leaves the mapping out of children (madvise(2), MADV_DONTFORK).
    void keep_from_children() const;

  private:
    void* data_ = nullptr;
    std::size_t size_ = 0;
};

// A zeroed, sealable, close-on-exec memfd of mode 0600. With `reserve` its pages are allocated now, so that a
// later store cannot hit a full tmpfs (SIGBUS); else it is sparse. Throws std::system_error.
UniqueFd create_memfd(const char* name, std::size_t size, bool reserve);

// Allocates the pages of a part of a memfd. Throws std::system_error, whose text names `what`.
void reserve_memory(int fd, std::size_t offset, std::size_t size, std::string_view what);

// A read-only descriptor for the same memory, through /proc/self/fd; a mapping of it cannot be made writable.
UniqueFd reopen_read_only(int fd);

// Throws std::system_error. `offset` is a multiple of the page size.
Mapping map_shared_writable(int fd, std::size_t offset, std::size_t size);
Mapping map_shared_read_only(int fd, std::size_t offset, std::size_t size);
// For sealed memory: before Linux 6.7 a write-sealed memfd refuses MAP_SHARED even read-only.
Mapping map_private_read_only(int fd, std::size_t size);

// Adds F_SEAL_WRITE, _SHRINK, _GROW and _SEAL. EBUSY while a writable mapping exists in any process.
void seal_memory(int fd);
// True for a memfd that carries all four.
bool is_sealed(int fd) noexcept;
// Without that seal the memory can shrink under a mapping, and reading there is SIGBUS.
bool is_sealed_against_shrinking(int fd) noexcept;
std::size_t file_size(int fd);

}  // namespace drover
