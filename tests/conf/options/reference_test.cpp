#include "conf/options/reference.h"

#include "conf/image/diff.h"
#include "conf/settings.h"
#include "tests/conf/toy_modules.h"

#include <algorithm>
#include <sstream>

#include <doctest/doctest.h>

using namespace drover;

namespace {

void check_round_trip(std::string_view text) {
    const CheckedConfiguration first = toy::check(text);
    for (const std::string& finding : first.findings)
        FAIL(finding);
    const std::string toml = to_toml(Image::view(first.image));
    const CheckedConfiguration second = toy::check(toml);
    for (const std::string& finding : second.findings)
        FAIL(finding << "\n" << toml);
    const Image before = Image::view(first.image);
    const Image after = Image::view(second.image);
    REQUIRE(before.root().size() == after.root().size());
    for (std::uint32_t i = 0; i < before.root().size(); ++i) {
        const ImageNode child = before.root().child(i);
        if (child.name() == "listener_notes") continue;  // where listeners stand in the text
        CHECK_MESSAGE(same_values(child, after.root().find(child.name())), toml);
    }
}

}  // namespace

TEST_CASE("to_toml reads back to the very same values") {
    check_round_trip("[pool.a]");
    check_round_trip("[pool.a]\nmodules = ['http', 'echo']\n[pool.b]\nworkers = 3\n[master]\n");
    check_round_trip(
        "[master]\nuser = \"w\\\"\\\\w\\n\\u0001 é\"\nruntime_dir = 'r'\n[pool.z]\nworkers = "
        "'auto'\ndrain_timeout = 0\n"
        "modules = ['http', 'bare']\n[[pool.z.listen]]\naddress = '[::1]:8080'\nmodule = "
        "'http'\ndefer_accept = 'off'\n"
        "keepalive_idle = '90s'\n[[pool.z.listen]]\naddress = '*:1'\nmodule = 'http'\nnodelay = false\n"
        "[pool.a]\nmodules = ['echo']\nlisten = []\n[module.echo]\nmax_buffer = '1M'\n[module.http]\nhosts = "
        "[]\n"
        "mode = 'slow'\n[module.http.limits]\n[[module.http.route]]\npath = '/'\nreturn = {}\n"
        "[[module.http.route]]\npath = '/x'\nreturn = { status = 404, body = \"a'''b\" }\n"
        "[[module.http.route]]\npath = '/y'\nhandler = 'h'\n");
}

TEST_CASE("to_toml shows defaults behind a mark and set values without") {
    const CheckedConfiguration checked = toy::check("[pool.a]\nworkers = 2\nreport_interval = '1500ms'\n");
    const std::string toml = to_toml(Image::view(checked.image));
    CHECK(toml.starts_with("# The configuration of \"/etc/toy.toml\"."));
    CHECK(toml.find("\n# [master]\n# runtime_dir = \"run\"\n") != std::string::npos);
    CHECK(toml.find("\n[pool.a]\nworkers = 2\n# modules = []\n# max_connections = 16384\n") !=
          std::string::npos);
    CHECK(toml.find("\nreport_interval = \"1500ms\"\n") != std::string::npos);
}

TEST_CASE("to_json holds every value") {
    const CheckedConfiguration checked = toy::check(
        "[pool.a]\nworkers = 2\nmodules = ['http']\n[module.http]\nlimits.body = 'off'\ngzip = false");
    const std::string json = to_json(Image::view(checked.image));
    for (const char* part : {"\"source\": \"/etc/toy.toml\"", "\"workers\": 2", "\"drain_timeout\": \"30s\"",
                             "\"body\": \"off\"", "\"gzip\": false", "\"hosts\": [\n", "\"listen\": []",
                             "\"name\": \"http_requests_total\""})
        CHECK_MESSAGE(json.find(part) != std::string::npos, part);
}

TEST_CASE("the reference names every key, on lines that fit a terminal") {
    const std::vector<ModuleDeclaration> modules = toy::modules();
    const std::string reference = configuration_reference(modules);
    std::istringstream lines(reference);
    for (std::string line; std::getline(lines, line);) {
        CHECK_MESSAGE(line.size() <= 100, line);
        CHECK_MESSAGE(!line.ends_with(' '), line);
    }
    const auto names = [&](const OptionTable& table, const auto& self) -> void {
        for (const OptionKey& key : table.keys()) {
            const std::string line = "\n  " + key.name;
            if (key.type == ValueType::table)
                self(*key.table, self);
            else
                CHECK_MESSAGE(reference.find(line) != std::string::npos, key.name);
        }
    };
    names(MasterSettings::options(), names);
    names(PoolSettings::options(), names);
    names(toy::Http::options(), names);
    for (const char* part :
         {"[pool.NAME]", "[[pool.NAME.listen]]", "[module.http.limits]", "[[module.http.route]]",
          "  workers = \"auto\"\n      integer, 1 to 1024, or \"auto\"; hot\n",
          "  address (required)\n      text; hot\n", "one of \"slow\", \"fast\"; fresh",
          "  drain_timeout = \"30s\"\n", "  hosts = [\"localhost\"]\n"})
        CHECK_MESSAGE(reference.find(part) != std::string::npos, part);
}

TEST_CASE("the schema says what the declarations say") {
    const std::vector<ModuleDeclaration> modules = toy::modules();
    const std::string schema = configuration_schema(modules);
    CHECK(schema.starts_with("{\n  \"$schema\": \"http://json-schema.org/draft-07/schema#\""));
    CHECK(std::ranges::count(schema, '{') == std::ranges::count(schema, '}'));
    for (const char* part : {"\"^[a-z0-9_-]{1,63}$\"", "\"minimum\": 1,\n", "\"maximum\": 1024\n",
                             "\"const\": \"auto\"", "([0-9]+m)?([0-9]+s)?([0-9]+ms)?$\"",
                             "\"pattern\": \"^[0-9]+([kKmMgG]|[KMG]iB|[kMG]B)?$\"", "\"default\": \"30s\"",
                             "\"default\": 16384", "\"default\": true", "\"additionalProperties\": false",
                             "\"maxItems\": 128", "\"enum\": [\n", "\"required\": [\n", "\"minLength\": 1"})
        CHECK_MESSAGE(schema.find(part) != std::string::npos, part);
}
