#include "worker/module/configuration.h"

#include "tests/worker/scripted_module.h"

#include <stdexcept>

#include <doctest/doctest.h>

using namespace drover;
using namespace drover::test;

TEST_CASE("a configuration is one pool's view of an image, and says which generation it is") {
    const auto declarations = declare_modules(scripted_modules);
    const CheckedConfiguration checked =
        check_document(parse_toml("[pool.a]\nmodules = [\"scripted\"]\nworkers = 3\n[pool.b]\nmodules = "
                                  "[\"scripted\"]\nworkers = 5\n",
                                  "/test.toml"),
                       declarations, nullptr);
    REQUIRE(checked.findings.empty());
    const Configuration configuration(4, Image::view(checked.image), "b");
    CHECK(configuration.generation() == 4);
    CHECK(configuration.pool().workers == 5);
    CHECK(configuration.module_options("scripted"));
    CHECK_FALSE(configuration.module_options("other"));
    CHECK_THROWS_WITH_AS(Configuration(1, Image::view(checked.image), "c"), "the image has no pool \"c\"",
                         std::runtime_error);
}
