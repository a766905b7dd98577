// The shipped configurations, with the modules that they are written for.
#include "conf/options/metrics_reference.h"
#include "conf/options/reference.h"
#include "conf/reader/checker.h"
#include "conf/reader/toml_reader.h"
#include "modules/all_modules.h"
#include "worker/module/module_declarations.h"

#include <fstream>
#include <regex>
#include <sstream>
#include <string>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

using namespace drover;

namespace {

std::string path_of(const char* name) {
    return std::string(DROVER_SOURCE_DIR) + "/conf/" + name;
}

std::string text_of(const char* name) {
    std::ostringstream text;
    text << std::ifstream(path_of(name)).rdbuf();
    return text.str();
}

CheckedConfiguration check_shipped(const std::string& text) {
    const auto modules = declare_modules(all_modules());
    return check_document(parse_toml(text, path_of("drover.toml")), modules, nullptr);
}

// From "[module.NAME]" on to the next module's.
std::string section_of(const std::string& text, const std::string& module) {
    const std::size_t begin = text.find("\n[module." + module + "]");
    REQUIRE(begin != std::string::npos);
    return text.substr(begin, text.find("\n[module.", begin + 1) - begin);
}

void check_named(const OptionTable& options, const std::string& section) {
    for (const OptionKey& key : options.keys()) {
        const bool is_named = key.list || section.find(key.name + " = ") != std::string::npos;
        CHECK_MESSAGE(is_named, key.name);
        if (key.table != nullptr) check_named(*key.table, section);
    }
}

// Lines such as `# max_headers = 100` without their mark. A table behind a mark is an example, up to the next
// empty line.
std::string with_defaults_set(const std::string& text) {
    std::string result;
    std::istringstream lines(text);
    bool in_example = false;
    for (std::string line; std::getline(lines, line);) {
        in_example = line.starts_with("# [") || (in_example && !line.empty());
        const std::size_t end = line.find_first_not_of("abcdefghijklmnopqrstuvwxyz_0123456789", 2);
        const bool is_default = !in_example && line.starts_with("# ") && end != std::string::npos &&
                                line.substr(end).starts_with(" = ");
        result += (is_default ? line.substr(2) : line) + "\n";
    }
    return result;
}

}  // namespace

TEST_CASE("the shipped configurations are valid") {
    for (const char* name : {"drover.toml", "minimal.toml", "demo.toml", "system.toml"}) {
        for (const std::string& finding : check_shipped(text_of(name)).findings)
            FAIL_CHECK(name << ": " << finding);
    }
}

TEST_CASE("drover.toml names every key of every module, and shows its true default") {
    const std::string text = text_of("drover.toml");
    for (const ModuleDeclaration& module : declare_modules(all_modules()))
        check_named(*module.options, section_of(text, module.name));

    const CheckedConfiguration as_shipped = check_shipped(text);
    const CheckedConfiguration spelled_out = check_shipped(with_defaults_set(text));
    for (const std::string& finding : spelled_out.findings)
        FAIL_CHECK(finding);
    REQUIRE(spelled_out.findings.empty());
    for (const std::string& line :
         compare(Image::view(as_shipped.image), Image::view(spelled_out.image)).lines)
        FAIL_CHECK(line);
}

TEST_CASE("drover.schema.json is what `drover help schema` prints") {
    const bool is_current =
        text_of("drover.schema.json") == configuration_schema(declare_modules(all_modules()));
    CHECK(is_current);
}

TEST_CASE("docs/observability.md ends with what `drover help metrics` prints") {
    const std::string page = text_of("../docs/observability.md");
    const bool is_current = page.ends_with("\n\n" + metrics_reference(declare_modules(all_modules())));
    CHECK(is_current);
}

// Every name that an expression has: of a metric, or of one of the series of a histogram.
TEST_CASE("grafana.json asks for metrics that there are") {
    const std::string text = text_of("grafana.json");
    REQUIRE(nlohmann::json::accept(text));
    const std::string known = metrics_reference(declare_modules(all_modules()));
    const std::regex name("drover_[a-z0-9_]+");
    int count = 0;
    for (std::sregex_iterator found(text.begin(), text.end(), name), end; found != end; ++found) {
        std::string metric = found->str();
        const std::string suffix = "_bucket";
        if (metric.ends_with(suffix)) metric.erase(metric.size() - suffix.size());
        const bool is_known = known.find("`" + metric + "`") != std::string::npos ||
                              known.find("`" + metric + "{") != std::string::npos;
        CHECK_MESSAGE(is_known, metric);
        ++count;
    }
    CHECK(count > 20);
}
