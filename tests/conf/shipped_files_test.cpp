// The configurations that are shipped.
#include "conf/settings.h"
#include "tests/conf/toy_modules.h"

#include <fstream>
#include <sstream>

#include <doctest/doctest.h>

using namespace drover;

namespace {

std::string path_of(const char* name) {
    return std::string(DROVER_SOURCE_DIR) + "/conf/" + name;
}

std::string text_of(const char* name) {
    std::ostringstream text;
    text << std::ifstream(path_of(name)).rdbuf();
    REQUIRE(!text.str().empty());
    return text.str();
}

// Drover's own part: what modules make of their sections is checked beside the modules.
std::string own_part(const std::string& text) {
    return text.substr(0, text.find("[module."));
}

std::string without_module_options(const std::string& text) {
    std::string result;
    std::istringstream lines(text);
    bool skip = false;
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with('[')) skip = line.starts_with("[module.") || line.starts_with("[[module.");
        if (!skip) result += line + "\n";
    }
    return result;
}

// Lines such as `# workers = "auto"` without their mark.
std::string with_defaults_set(const std::string& text) {
    std::string result;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        const std::size_t end = line.find_first_not_of("abcdefghijklmnopqrstuvwxyz_", 2);
        const bool shown = line.starts_with("# ") && end != std::string::npos && end > 2 &&
                           std::string_view(line).substr(end).starts_with(" = ");
        result += (shown ? line.substr(2) : line) + "\n";
    }
    return result;
}

void check_named(const OptionTable& options, const std::string& text) {
    for (const OptionKey& key : options.keys()) {
        if (key.type == ValueType::table) {
            check_named(*key.table, text);
            continue;
        }
        const bool named = text.find("\n" + key.name + " = ") != std::string::npos ||
                           text.find("\n# " + key.name + " = ") != std::string::npos;
        CHECK_MESSAGE(named, key.name);
    }
}

}  // namespace

TEST_CASE("drover.toml names every key, and shows its true default") {
    const std::string text = text_of("drover.toml");
    check_named(MasterSettings::options(), text);
    check_named(PoolSettings::options(), text);

    const std::string own = own_part(text);
    const CheckedConfiguration as_shipped = toy::check(own);
    for (const std::string& finding : as_shipped.findings)
        FAIL(finding);
    const CheckedConfiguration spelled_out = toy::check(with_defaults_set(own));
    for (const std::string& finding : spelled_out.findings)
        FAIL(finding);
    const Image left = Image::view(as_shipped.image);
    const Image right = Image::view(spelled_out.image);
    for (const std::string& line : compare(left, right).lines)
        FAIL(line);
    CHECK(!right.root().find("master").find("log_file").is_default());
}

TEST_CASE("the shipped configurations are valid, as far as Drover's own keys go") {
    for (const char* name : {"drover.toml", "minimal.toml", "demo.toml"}) {
        CHECK_NOTHROW(read_toml(path_of(name)));
        const CheckedConfiguration checked = toy::check(without_module_options(text_of(name)));
        for (const std::string& finding : checked.findings)
            FAIL(name << ": " << finding);
        const Settings settings = Settings::load(Image::view(checked.image));
        CHECK(settings.pools.size() == (name == std::string_view("demo.toml") ? 2 : 1));
        REQUIRE(!settings.pools.empty());
        CHECK(settings.pools[0].name == "main");
        CHECK(settings.pools[0].listen.at(0).address.text() == "127.0.0.1:8080");
        CHECK(settings.pools[0].listen.at(0).module == "http");
    }
}

TEST_CASE("the demo serves what `./dev run` promises") {
    const CheckedConfiguration checked = toy::check(text_of("demo.toml"));
    for (const std::string& finding : checked.findings)
        FAIL(finding);
    const Image image = Image::view(checked.image);
    const Settings settings = Settings::load(image);
    CHECK(settings.pools[0].workers == 2);
    CHECK(settings.pools[0].listen.at(1).address.text() == "127.0.0.1:8081");
    CHECK(settings.pools[0].listen.at(1).module == "echo");
    CHECK(settings.master.runtime_dir == "../run");
    const toy::Http http = toy::Http::options().load(image.root().find("module").find("http"));
    REQUIRE(http.routes.size() == 2);
    CHECK(http.routes[0].reply.body == "Hello, world\n");
    CHECK(http.routes[1].handler == "status");
}
