#include "worker/module/module_library.h"

#include "core/base/system_error.h"
#include "core/memory/shared_memory.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace drover {

namespace {

using Bytes = std::span<const std::byte>;

#if defined(__LP64__)
using Header = Elf64_Ehdr;
using Segment = Elf64_Phdr;
constexpr unsigned char elf_class = ELFCLASS64;
#else
using Header = Elf32_Ehdr;
using Segment = Elf32_Phdr;
constexpr unsigned char elf_class = ELFCLASS32;
#endif

[[noreturn]] void refuse(const std::string& why) {
    throw std::runtime_error(why);
}

// No view of a file is trusted: each piece is copied out, within its bounds.
template <class T>
T read_at(Bytes file, std::uint64_t offset) {
    T value;
    if (offset > file.size() || file.size() - offset < sizeof value) refuse("it is cut off");
    std::memcpy(&value, file.data() + offset, sizeof value);
    return value;
}

constexpr std::uint64_t padded(std::uint64_t size) noexcept {
    return (size + 3) & ~std::uint64_t{3};
}

// The stamp in a segment of notes; empty when it has none of ours.
std::string find_stamp(Bytes notes) {
    std::uint64_t at = 0;
    while (at + sizeof(Elf64_Nhdr) <= notes.size()) {
        const auto note = read_at<Elf64_Nhdr>(notes, at);
        const std::uint64_t name = at + sizeof note;
        const std::uint64_t contents = name + padded(note.n_namesz);
        at = contents + padded(note.n_descsz);
        if (at > notes.size()) refuse("its notes are cut off");
        const bool ours = note.n_type == ModuleNote::type_stamp &&
                          note.n_namesz == ModuleNote::name.size() + 1 &&
                          std::memcmp(notes.data() + name, ModuleNote::name.data(), note.n_namesz) == 0;
        if (!ours) continue;
        const std::string stamp(reinterpret_cast<const char*>(notes.data() + contents), note.n_descsz);
        return stamp.substr(0, stamp.find('\0'));
    }
    return {};
}

// What the loader takes of the address space.
std::uint64_t loaded_size(Bytes file) {
    const auto header = read_at<Header>(file, 0);
    std::uint64_t size = 0;
    for (unsigned i = 0; i < header.e_phnum; ++i) {
        const auto segment = read_at<Segment>(file, header.e_phoff + std::uint64_t{i} * sizeof(Segment));
        if (segment.p_type == PT_LOAD)
            size = std::max<std::uint64_t>(size, segment.p_vaddr + segment.p_memsz);
    }
    return std::min<std::uint64_t>(size, max_library_bytes);
}

// dlopen(3) says in words alone why it failed. Whether it had a descriptor and memory is tried out; throws
// std::system_error when it had not.
void check_shortage(Bytes file, int copy) {
    constexpr std::size_t loaders_own = std::size_t{256} * 1024;
    const UniqueFd descriptor(check_call(::fcntl(copy, F_DUPFD_CLOEXEC, 0), "dlopen"));
    const std::size_t size = loaded_size(file) + loaders_own;
    void* const memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw_errno("dlopen");
    ::munmap(memory, size);
}

// What to do about a symbol that nobody has; empty: the loader's words are about something else.
std::string symbol_hint(std::string_view reason) {
    const bool undefined = reason.find("undefined symbol") != reason.npos;
    const bool is_ours = reason.find("6drover") != reason.npos;  // as the C++ ABI writes the namespace
    if (undefined && is_ours)
        return "; the program lacks it or does not export it: link it with drover::shared, or with all of "
               "drover::static and ENABLE_EXPORTS (-rdynamic)";
    return undefined ? "; link the module with the library that has it" : "";
}

void copy_bytes(int from, int to, std::size_t size) {
    std::string buffer(std::size_t{256} * 1024, '\0');
    for (std::size_t done = 0; done < size;) {
        const ssize_t got = ::pread(from, buffer.data(), buffer.size(), static_cast<off_t>(done));
        if (got < 0) throw_errno("read");
        if (got == 0) refuse("it became shorter while it was read");
        const auto bytes = std::min(static_cast<std::size_t>(got), size - done);
        if (::pwrite(to, buffer.data(), bytes, static_cast<off_t>(done)) != static_cast<ssize_t>(bytes))
            throw_errno("write");
        done += bytes;
    }
}

}  // namespace

std::string module_stamp_of(Bytes file) {
    if (file.size() < SELFMAG || std::memcmp(file.data(), ELFMAG, SELFMAG) != 0)
        refuse("it is no shared library");
    const auto header = read_at<Header>(file, 0);
    if (header.e_type != ET_DYN || header.e_ident[EI_CLASS] != elf_class)
        refuse("it is no shared library for this machine");
    for (unsigned i = 0; i < header.e_phnum; ++i) {
        const auto segment = read_at<Segment>(file, header.e_phoff + std::uint64_t{i} * sizeof(Segment));
        if (segment.p_type != PT_NOTE) continue;
        if (segment.p_offset > file.size() || segment.p_filesz > file.size() - segment.p_offset)
            refuse("its notes are cut off");
        const std::string stamp = find_stamp(file.subspan(segment.p_offset, segment.p_filesz));
        if (!stamp.empty()) return stamp;
    }
    refuse("it is no Drover module: DROVER_MODULE stands in none of its sources");
}

UniqueFd copy_library(const std::string& path) {
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!file) throw_errno("it cannot be opened");
    struct stat status {};
    check_call(::fstat(file.get(), &status), "fstat", path);
    if (!S_ISREG(status.st_mode)) refuse("it is no regular file");
    const auto size = static_cast<std::size_t>(status.st_size);
    if (size == 0 || size > max_library_bytes) refuse("it is empty, or larger than 256 MiB");
    UniqueFd copy = create_memfd(path.substr(path.rfind('/') + 1).c_str(), size, true);
    copy_bytes(file.get(), copy.get(), size);
    // Workers may be another user than who made the copy; its seals keep it as it is.
    check_call(::fchmod(copy.get(), 0555), "fchmod", path);
    seal_memory(copy.get());
    return copy;
}

ModuleFactory load_module(int copy) {
    if (!is_sealed(copy)) refuse("its copy is not sealed");
    const Mapping file = map_private_read_only(copy, file_size(copy));
    if (const std::string stamp = module_stamp_of(file.bytes()); stamp != module_stamp)
        refuse("it was built with \"" + stamp + "\", this program with \"" + std::string(module_stamp) +
               "\"");
    const std::string place = "/proc/self/fd/" + std::to_string(copy);
    void* const library = ::dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        const std::string reason = ::dlerror();
        check_shortage(file.bytes(), copy);
        refuse(reason + symbol_hint(reason));
    }
    void* const symbol = ::dlsym(library, "drover_module_factory");
    if (symbol == nullptr) refuse(::dlerror());
    return *static_cast<const ModuleFactory*>(symbol);
}

}  // namespace drover
