#include "worker/module_library.h"

#include "core/shared_memory.h"

#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

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
