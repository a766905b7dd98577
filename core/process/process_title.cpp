// The title part of process.h: the kernel shows a process by the memory of its arguments (proc(5), cmdline),
// so that memory is where a title is written.
#include "core/process/environment.h"
#include "core/process/process.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include <errno.h>
#include <string.h>
#include <unistd.h>

namespace drover {
namespace {

// The one piece of global state that the kernel's interface asks for: where the arguments lie is told to main
// alone.
char* title_begin = nullptr;
char* title_end = nullptr;
char program_version[33] = {};  // with a blank before it; empty: the program has none

// Extends [title_begin, title_end) by those strings of `list` that follow it without a gap.
void extend_over(char** list) noexcept {
    for (char** text = list; *text != nullptr; ++text) {
        if (*text == title_end) title_end = *text + ::strlen(*text) + 1;
    }
}

// The C library prints these in its own messages, and they point into the arguments.
void move_program_name_away() noexcept {
    char* const name = ::strdup(program_invocation_name);
    if (name == nullptr) return;
    char* const slash = ::strrchr(name, '/');
    program_invocation_name = name;
    program_invocation_short_name = slash != nullptr ? slash + 1 : name;
}

}  // namespace

void init_process_title(int argc, char** argv, std::string_view version) noexcept {
    if (title_begin != nullptr || argc == 0 || argv[0] == nullptr) return;
    title_begin = title_end = argv[0];
    extend_over(argv);
    extend_over(environ);
    if (!move_environment()) {
        title_begin = title_end = nullptr;
        return;
    }
    move_program_name_away();
    if (!version.empty())
        std::snprintf(program_version, sizeof program_version, " %.*s", static_cast<int>(version.size()),
                      version.data());
}

void set_process_title(const std::string& title) {
    if (title_begin == nullptr) return;
    const std::string shown = std::string(program_invocation_short_name) + program_version + ": " + title;
    const auto room = static_cast<std::size_t>(title_end - title_begin);
    const std::size_t size = std::min(shown.size(), room - 1);
    ::memcpy(title_begin, shown.data(), size);
    ::memset(title_begin + size, 0, room - size);
}

}  // namespace drover
