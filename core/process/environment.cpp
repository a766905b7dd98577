#include "core/process/environment.h"

#include "core/base/unique_fd.h"
#include "core/process/process_facts.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <span>
#include <string_view>

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

namespace drover {

namespace {

// The texts where move_environment has put them: its children have to know, in whatever they call.
std::span<char> moved_text;

// One block: the list of pointers, then the texts. Null when there is no memory.
char** make_block(std::span<const std::string_view> entries, std::span<char>& text) noexcept {
    std::size_t size = 0;
    for (const std::string_view entry : entries)
        size += entry.size() + 1;
    const std::size_t pointers = (entries.size() + 1) * sizeof(char*);
    auto* const block = static_cast<char*>(std::calloc(1, pointers + size));
    if (block == nullptr) return nullptr;
    auto** const list = reinterpret_cast<char**>(block);
    text = {block + pointers, size};
    char* at = text.data();
    for (std::size_t i = 0; i < entries.size(); ++i) {
        list[i] = at;
        at += entries[i].copy(at, entries[i].size()) + 1;
    }
    return list;
}

// Where the kernel has laid the environment (proc(5), stat: env_start and env_end).
std::span<char> initial_text() {
    std::uintptr_t bounds[2] = {0, 0};
    for (unsigned i = 0; i < 2; ++i) {
        const std::string field = stat_field(::getpid(), 50 + i);
        std::from_chars(field.data(), field.data() + field.size(), bounds[i]);
    }
    if (bounds[0] == 0 || bounds[1] <= bounds[0]) return {};
    return {reinterpret_cast<char*>(bounds[0]), bounds[1] - bounds[0]};
}

// explicit_bzero(3) takes no null pointer.
void wipe(std::span<char> text) noexcept {
    if (!text.empty()) ::explicit_bzero(text.data(), text.size());
}

// By the kernel, which refuses where nothing can be written: putenv(3) takes a literal, too.
void overwrite_each(char** list) noexcept {
    const UniqueFd zero(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
    for (char** entry = list; entry != nullptr && *entry != nullptr; ++entry) {
        const std::size_t size = ::strlen(*entry);
        if (::read(zero.get(), *entry, size) < 0) continue;
    }
}

}  // namespace

bool move_environment() noexcept {
    std::vector<std::string_view> entries;  // nothing may copy the text itself
    for (char** entry = environ; *entry != nullptr; ++entry)
        entries.emplace_back(*entry);
    char** const list = make_block(entries, moved_text);
    if (list == nullptr) return false;
    overwrite_each(environ);
    environ = list;
    const std::span<char> initial = initial_text();
    wipe(initial);
    return true;
}

std::string environment_entry(const std::string& name) {
    const char* const value = ::getenv(name.c_str());
    return value == nullptr ? "" : name + "=" + value;
}

void replace_environment(const std::vector<std::string>& entries) {
    std::span<char> text;
    char** const list = make_block(std::vector<std::string_view>(entries.begin(), entries.end()), text);
    if (list == nullptr) throw std::bad_alloc();
    overwrite_each(environ);
    wipe(moved_text);
    environ = list;
    moved_text = text;
}

}  // namespace drover
