// What makes a shared library a module that a running program can load (pool.NAME.modules names its path):
// one line in one of its sources,
//
//     DROVER_MODULE(MyModule)
//
// exports how the module is made, and writes what the library was built with into an ELF note. The loader
// compares that note with its own before it maps the library: loading runs the library's constructors, and
// nothing could be checked after them. Runs in: wherever the module runs.
#pragma once

#include "core/base/build_info.h"
#include "core/base/version.h"
#include "worker/module/module.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace drover {

// Everything on which the layout of what a module and its host share depends: version, the compiler's ABI,
// the standard library's, sanitizers. Two builds with equal stamps may run in one process.
#define DROVER_TEXT_OF(value) #value
#define DROVER_TEXT(value) DROVER_TEXT_OF(value)
inline constexpr std::string_view module_stamp =
    "drover " DROVER_HEADER_VERSION ", C++ ABI " DROVER_TEXT(__GXX_ABI_VERSION)
#if defined(_GLIBCXX_USE_CXX11_ABI)
        ", libstdc++ cxx11 " DROVER_TEXT(_GLIBCXX_USE_CXX11_ABI)
#endif
#if defined(DROVER_ADDRESS_SANITIZER)
            ", address sanitizer"
#endif
    ;

// An ELF note (elf(5)): sizes, type, name, contents.
struct ModuleNote {
    static constexpr std::string_view name = "Drover";
    static constexpr std::uint32_t type_stamp = 1;
    static constexpr std::size_t stamp_size = 128;

    std::uint32_t name_size = 7;  // with its NUL
    std::uint32_t stamp_bytes = stamp_size;
    std::uint32_t type = type_stamp;
    std::array<char, 8> name_text = {'D', 'r', 'o', 'v', 'e', 'r'};
    std::array<char, stamp_size> stamp = {};
};

consteval ModuleNote make_module_note(std::string_view stamp) {
    ModuleNote note;
    for (std::size_t i = 0; i < stamp.size(); ++i)
        note.stamp.at(i) = stamp[i];
    return note;
}

}  // namespace drover

// At namespace scope, once in a library. Type derives from drover::Module and has a default constructor.
#define DROVER_MODULE(Type)                                                                                  \
    extern "C" [[gnu::visibility("default"), gnu::used]] const drover::ModuleFactory drover_module_factory = \
        &drover::make_module<Type>;                                                                          \
    extern "C" [[gnu::visibility("default"), gnu::used, gnu::section(".note.drover"),                        \
                 gnu::aligned(4)]] const drover::ModuleNote drover_module_note =                             \
        drover::make_module_note(drover::module_stamp);
