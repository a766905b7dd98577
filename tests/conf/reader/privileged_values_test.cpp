#include "conf/reader/privileged_values.h"

#include "conf/reader/toml_reader.h"
#include "tests/conf/toy_modules.h"

#include <doctest/doctest.h>

using namespace drover;

namespace {

std::string of_file(const std::string& text) {
    return privileged_values(parse_toml(text, "/etc/f.toml"));
}

std::string of_image(const std::string& text) {
    const CheckedConfiguration checked = toy::check(text);
    const Image image = Image::view(checked.image);
    return privileged_values(Settings::load(image));
}

const std::string file = R"(
[master]
user = "nobody"
log_file = "log"
environment = ["TAKEN", "SET=x"]
[pool.b]
modules = ["http"]
[[pool.b.listen]]
address = "127.0.0.1:80"
module = "http"
[[pool.b.listen]]
address = "unix:web.sock"
module = "http"
[pool.a]
)";

std::string with(std::string_view from, std::string_view to) {
    std::string text = file;
    return text.replace(text.find(from), from.size(), to);
}

}  // namespace

TEST_CASE("a file and its image give the same text, also where nothing is said") {
    CHECK(of_file(file) == of_image(file));
    CHECK(of_file("[pool.a]\n") == of_image("[pool.a]\n"));
}

TEST_CASE("what the master does with its own rights makes another text, other values do not") {
    CHECK(of_file(with("nobody", "root")) != of_file(file));
    CHECK(of_file(with("TAKEN", "SECRET")) != of_file(file));
    CHECK(of_file(with("\"log\"", "\"/etc/passwd\"")) != of_file(file));
    CHECK(of_file(with(":80", ":22")) != of_file(file));
    CHECK(of_file(with("web.sock", "other.sock")) != of_file(file));
    CHECK(of_file(with("[pool.a]", "[pool.c]")) != of_file(file));
    CHECK(of_file(with("[pool.a]", "[pool.a]\nworkers = 3")) == of_file(file));
}

TEST_CASE("no text is the beginning of another") {
    const std::string shorter = of_file("[pool.a]\n");
    CHECK_FALSE(of_file("[pool.a]\n[pool.b]\n").starts_with(shorter));
    CHECK(of_file("[pool.a]\n[[pool.a.listen]]\naddress = \"x\\nend\\n\"\n") != shorter);
}

TEST_CASE("a document that is wrong gives some text") {
    CHECK_NOTHROW(of_file("master = 1\npool = [1, 2]\n"));
    CHECK_NOTHROW(of_file("[master]\nuser = 7\n[pool]\na = 1\n"));
}
