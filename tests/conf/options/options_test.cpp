#include "conf/options/options.h"

#include "tests/conf/toy_modules.h"

#include <stdexcept>

#include <doctest/doctest.h>

using namespace drover;

namespace {

// A checked [module.http] with these keys.
std::vector<std::byte> http_image(std::string_view keys) {
    const CheckedConfiguration checked =
        toy::check("[pool.a]\nmodules = ['http']\n[module.http]\n" + std::string(keys));
    REQUIRE(checked.findings.empty());
    return checked.image;
}

ImageNode http_node(const Image& image) {
    return image.root().find("module").find("http");
}

void check_refused(ImageValue value, std::string_view message) {
    ImageValue root;
    root.children.push_back(std::move(value));
    const std::vector<std::byte> bytes = build_image(root);
    const Image image = Image::view(bytes);
    try {
        toy::Http::options().load(image.root());
        FAIL("loaded");
    } catch (const std::runtime_error& error) {
        CHECK(error.what() == "configuration image: " + std::string(message));
    }
}

}  // namespace

TEST_CASE("what the file does not mention stands at its declared default") {
    const std::vector<std::byte> bytes = http_image("");
    const Image image = Image::view(bytes);
    for (const ImageNode& node : {http_node(image), ImageNode()}) {
        const toy::Http http = toy::Http::options().load(node);
        CHECK(http.routes.empty());
        CHECK(http.mode == toy::Mode::fast);
        CHECK(http.gzip);
        REQUIRE(http.hosts.size() == 1);
        CHECK(http.hosts[0] == "localhost");
    }
    CHECK(toy::Http::options().load(http_node(image)).limits.body == 1 << 20);
    // Without a node a table keeps what its struct says.
    CHECK(toy::Http::options().load(ImageNode()).limits.body == 0);
    CHECK(toy::Echo::options().load(ImageNode()).max_buffer == 65536);
}

TEST_CASE("what the file says is loaded") {
    const std::vector<std::byte> bytes = http_image(
        "mode = 'slow'\ngzip = false\nhosts = ['a', 'b']\nlimits = { body = 'off', idle = '5m' }\n"
        "[[module.http.route]]\npath = '/a'\nreturn = { status = 404, body = 'no' }\n"
        "[[module.http.route]]\npath = '/b'\nhandler = 'status'\n");
    const Image image = Image::view(bytes);
    const toy::Http http = toy::Http::options().load(http_node(image));
    CHECK(http.mode == toy::Mode::slow);
    CHECK(!http.gzip);
    CHECK(http.hosts == std::vector<std::string_view>{"a", "b"});
    CHECK(http.limits.body == 0);
    CHECK(http.limits.idle_ms == 300'000);
    REQUIRE(http.routes.size() == 2);
    CHECK(http.routes[0].reply.status == 404);
    CHECK(http.routes[0].reply.body == "no");
    CHECK(http.routes[1].path == "/b");
    CHECK(http.routes[1].handler == "status");
    CHECK(http.routes[1].reply.status == 200);
    CHECK(http_node(image).find("limits").find("body").text() == "off");
    CHECK(http_node(image).find("route").child(1).find("return").is_default());
    CHECK(!http_node(image).find("route").child(0).find("return").is_default());
}

TEST_CASE("bounds of a declaration are those of its member") {
    const OptionKey* key = toy::Echo::options().find("max_buffer");
    CHECK(key->integer.max == 4294967295);
    CHECK(toy::Http::options().find("nothing") == nullptr);
}

TEST_CASE("a value that breaks its declaration is not loaded") {
    check_refused({.name = "mode", .type = ValueType::integer}, "mode: not a text");
    check_refused({.name = "mode", .type = ValueType::text, .text = "never"}, "mode: not one of its choices");
    check_refused({.name = "hosts",
                   .type = ValueType::list,
                   .children = {{.type = ValueType::text, .text = {'a', '\0'}}}},
                  "hosts: a NUL character in it");
    check_refused({.name = "gzip", .type = ValueType::text}, "gzip: of another type than declared");
    check_refused({.name = "hosts", .type = ValueType::text}, "hosts: not a list");
    ImageValue hosts{.name = "hosts", .type = ValueType::list};
    hosts.children.resize(1);
    check_refused(hosts, "hosts: not a text");
    hosts.children.resize(4);
    check_refused(hosts, "hosts: has too many elements");
    const auto limit = [](ImageValue value) {
        ImageValue limits{.name = "limits"};
        limits.children.push_back(std::move(value));
        return limits;
    };
    check_refused(limit({.name = "idle", .type = ValueType::integer, .integer = 20}),
                  "idle: of another type than declared");
    check_refused(limit({.name = "idle", .type = ValueType::duration, .integer = 9}), "idle: out of bounds");
    check_refused(limit({.name = "idle", .type = ValueType::duration, .is_default = true, .integer = 9}),
                  "idle: out of bounds");
    check_refused(limit({.name = "idle", .type = ValueType::duration, .text = "off"}),
                  "idle: not the word that stands for 0");
    check_refused(limit({.name = "body", .type = ValueType::size, .integer = 5, .text = "off"}),
                  "body: not the word that stands for 0");
    check_refused({.name = "limits", .type = ValueType::list}, "limits: of another type than declared");
    ImageValue routes{.name = "route", .type = ValueType::list};
    routes.children.resize(1);
    routes.children[0].children.push_back({.name = "path", .type = ValueType::text});
    check_refused(routes, "path: empty");
    routes.children[0].children[0].text = std::string(65, '/');
    check_refused(routes, "path: too long");
    routes.children[0] = {.type = ValueType::text};
    check_refused(routes, "route: of another type than declared");
}

TEST_CASE("a complete table lacks no key") {
    const std::vector<std::byte> bytes = http_image("[[module.http.route]]\npath = '/'\n");
    const Image image = Image::view(bytes);
    CHECK_NOTHROW(verify_options(toy::Http::options(), http_node(image), true));
    ImageValue root;
    const std::vector<std::byte> empty = build_image(root);
    CHECK_NOTHROW(verify_options(toy::Http::options(), Image::view(empty).root(), false));
    CHECK_THROWS_WITH(verify_options(toy::Http::options(), Image::view(empty).root(), true),
                      "configuration image: route: missing");
}
