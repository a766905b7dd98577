#include "worker/module/module_library.h"

#include "core/base/build_info.h"
#include "core/base/system_error.h"
#include "core/memory/shared_memory.h"
#include "tests/support/in_child.h"

#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

using namespace drover;

namespace {

std::vector<char> sample(const std::string& variant) {
    std::ifstream file(DROVER_SAMPLE_MODULES "/sample_" + variant + ".so", std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::string stamp_of(const std::vector<char>& file) {
    return module_stamp_of(std::as_bytes(std::span(file)));
}

// Either a stamp or a refusal, and nothing else.
bool is_bounded(const std::vector<char>& file) {
    try {
        stamp_of(file);
    } catch (const std::runtime_error&) {
        return true;
    }
    return true;
}

// Does it with no more than what the limit leaves: 0 when that is refused as a shortage.
template <class Action>
int refused_within(__rlimit_resource_t resource, rlim_t most, Action action) {
    rlimit limit{};
    if (::getrlimit(resource, &limit) != 0) return 1;
    limit.rlim_cur = most;
    if (::setrlimit(resource, &limit) != 0) return 2;
    try {
        action();
        return 3;
    } catch (const std::exception& failure) {
        return is_shortage(failure) ? 0 : 4;
    }
}

rlim_t address_space() {
    rlim_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    return pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

TEST_CASE("a library's stamp is read from its file") {
    CHECK(stamp_of(sample("one")) == module_stamp);
    CHECK(stamp_of(sample("other_build")) == "drover 0.0.9");
    CHECK(module_stamp.starts_with("drover 0.1.0, C++ ABI 1"));
    CHECK(module_stamp.size() < ModuleNote::stamp_size);
}

TEST_CASE("a file that is cut off or changed is refused or read within its bounds") {
    const std::vector<char> whole = sample("one");
    for (std::size_t size = 0; size < whole.size(); size += size < 1024 ? 1 : 211)
        CHECK(is_bounded({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)}));
    for (std::size_t i = 0; i < 2048; ++i) {
        std::vector<char> changed = whole;
        changed[i] = static_cast<char>(~changed[i]);
        CHECK(is_bounded(changed));
    }
}

TEST_CASE("a copy is sealed, and readable by whom a worker becomes") {
    const UniqueFd copy = copy_library(DROVER_SAMPLE_MODULES "/sample_one.so");
    CHECK(is_sealed(copy.get()));
    CHECK(file_size(copy.get()) == sample("one").size());
    CHECK_THROWS_AS(copy_library("/dev/null"), std::runtime_error);
    CHECK_THROWS_AS(copy_library("/nonexistent/x.so"), std::runtime_error);
    CHECK_THROWS_AS(copy_library("/"), std::runtime_error);
}

TEST_CASE("what can still be changed is not loaded") {
    const UniqueFd open = create_memfd("x", 4096, false);
    CHECK_THROWS_WITH(load_module(open.get()), "its copy is not sealed");
}

TEST_CASE("a program that does not export Drover's symbols is told how to") {
    const UniqueFd copy = copy_library(DROVER_SAMPLE_MODULES "/sample_one.so");
    std::string reason;
    try {
        load_module(copy.get());
    } catch (const std::runtime_error& failure) {
        reason = failure.what();
    }
    CHECK_MESSAGE(reason.find("undefined symbol: ") != std::string::npos, reason);
    CHECK_MESSAGE(reason.find("ENABLE_EXPORTS (-rdynamic)") != std::string::npos, reason);
}

TEST_CASE("a library for which there is no descriptor or no memory is a shortage, not a fault of the file") {
    const std::string path = DROVER_SAMPLE_MODULES "/sample_one.so";
    test::in_child([&] { return refused_within(RLIMIT_NOFILE, 3, [&] { copy_library(path); }); });
    test::in_child([&] {
        const UniqueFd copy = copy_library(path);
        const UniqueFd last_free(::fcntl(copy.get(), F_DUPFD_CLOEXEC, 0));
        return refused_within(RLIMIT_NOFILE, static_cast<rlim_t>(last_free.get()) + 1,
                              [&] { load_module(copy.get()); });
    });
    if (address_sanitizer) return;
    test::in_child([&] {
        const UniqueFd copy = copy_library(path);
        const rlim_t most = address_space() + file_size(copy.get()) + 8192;
        return refused_within(RLIMIT_AS, most, [&] { load_module(copy.get()); });
    });
}
