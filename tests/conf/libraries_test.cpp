#include "conf/libraries.h"

#include "conf/toml_reader.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace drover;

TEST_CASE("libraries are what has a '/' in its name, of all pools, in order") {
    const Document document = parse_toml(R"(
[pool.a]
modules = ["http", "lib/one.so", 7]
[pool.b]
modules = "none"
[pool.c]
modules = ["./two.so", "lib/one.so"]
)",
                                         "/etc/f.toml");
    std::vector<std::string> found;
    for (const DocumentValue* const entry : find_libraries(document))
        found.push_back(entry->text);
    CHECK(found == std::vector<std::string>{"lib/one.so", "./two.so", "lib/one.so"});
    CHECK(find_libraries(parse_toml("pool = 1\n", "/f")).empty());
}
