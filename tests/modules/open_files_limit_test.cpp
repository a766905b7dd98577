#include "conf/reader/checker.h"
#include "conf/reader/toml_reader.h"
#include "modules/all_modules.h"
#include "modules/http/http_options.h"
#include "worker/module/module_declarations.h"

#include <cstdint>
#include <string>

#include <doctest/doctest.h>

using namespace drover;

namespace {

std::size_t kept_open(std::uint64_t descriptors, const std::string& pool, const std::string& http) {
    const Machine machine{.descriptors = descriptors};
    const auto modules = declare_modules(all_modules());
    const std::string text = "[pool.a]\nmodules = ['http']\n" + pool + "[module.http]\n" + http +
                             "[[module.http.route]]\npath = '/'\nreturn = { body = 'x' }\n";
    const CheckedConfiguration checked =
        check_document(parse_toml(text, "/test.toml"), modules, nullptr, machine);
    REQUIRE(checked.findings.empty());
    const Image image = Image::view(checked.image);
    return http::HttpOptions::options().load(image.root().find("module").find("http")).open_files;
}

}  // namespace

TEST_CASE("by default no more files are kept open than a quarter of the descriptors that there are") {
    CHECK(kept_open(1'048'576, "", "") == 1024);
    CHECK(kept_open(1024, "", "") == 256);
    CHECK(kept_open(65536, "open_files_limit = 512\n", "") == 128);
    CHECK(kept_open(1024, "", "open_files = 2000\n") == 2000);
    CHECK(kept_open(1024, "", "open_files = 0\n") == 0);
}
