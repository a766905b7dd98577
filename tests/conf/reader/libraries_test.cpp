#include "conf/reader/libraries.h"

#include "conf/reader/toml_reader.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace drover;

TEST_CASE("libraries are what has a '/' in its name, of all pools, in order") {
    Document document = parse_toml(R"(
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
    Document other = parse_toml("pool = 1\n", "/f");
    CHECK(find_libraries(other).empty());
}
