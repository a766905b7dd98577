#include "conf/image/diff.h"

#include "conf/options/reference.h"
#include "conf/settings.h"
#include "tests/conf/toy_modules.h"

#include <doctest/doctest.h>

using namespace drover;

namespace {

std::vector<std::byte> image_of(std::string_view text) {
    const CheckedConfiguration checked = toy::check(text);
    for (const std::string& finding : checked.findings)
        FAIL(finding);
    return checked.image;
}

Difference difference(std::string_view running, std::string_view next) {
    const std::vector<std::byte> old_bytes = image_of(running);
    const std::vector<std::byte> new_bytes = image_of(next);
    return compare(Image::view(old_bytes), Image::view(new_bytes));
}

// "hot" and its lines, one below the other.
std::string text_of(const Difference& difference) {
    std::string text = to_text(difference.change);
    for (const std::string& line : difference.lines)
        text += "\n" + line;
    return text;
}

const std::string base =
    "[pool.a]\nmodules = ['http']\nlisten = [{ address = '127.0.0.1:80', module = 'http' }]\n";

}  // namespace

TEST_CASE("no change is none, however it is written") {
    CHECK(text_of(difference(base, base)) == "none");
    CHECK(text_of(difference(base, "# moved\n" + base +
                                       "workers = 'auto'\nmax_connections = 16384\n"
                                       "drain_timeout = '30000ms'\n[master]\nlog_level = 'info'")) == "none");
    CHECK(text_of(difference("[pool.a]\n[pool.b]", "[pool.b]\n[pool.a]")) == "none");
}

TEST_CASE("what lies elsewhere is the same configuration") {
    const Document here = parse_toml(base, "/here/a.toml");
    const Document there = parse_toml(base, "/there/b.toml");
    const std::vector<std::byte> left = check_document(here, toy::modules(), nullptr).image;
    const std::vector<std::byte> right = check_document(there, toy::modules(), nullptr).image;
    CHECK(compare(Image::view(left), Image::view(right)).change == Change::none);
}

TEST_CASE("hot keys change hot") {
    CHECK(text_of(difference(base + "workers = 2", base + "workers = 4")) ==
          "hot\npool.a.workers: 2 -> 4 (hot)");
    CHECK(text_of(difference(base, base + "workers = 4")) == "hot\npool.a.workers: auto -> 4 (hot)");
    CHECK(text_of(difference(base, base + "drain_timeout = '90s'")) ==
          "hot\npool.a.drain_timeout: 30s -> 90s (hot)");
    CHECK(
        text_of(difference(base, base + "[master]\nlog_level = 'debug'\nlog_file = 'a.log'")) ==
        "hot\nmaster.log_file: \"stderr\" -> \"a.log\" (hot)\nmaster.log_level: \"info\" -> \"debug\" (hot)");
    CHECK(
        text_of(difference(base, base + "[module.http]\ngzip = false\n[module.http.limits]\nidle = '1s'")) ==
        "hot\nmodule.http.limits.idle: 1m -> 1s (hot)\nmodule.http.gzip: true -> false (hot)");
    for (const char* key :
         {"max_connections = 1", "start_timeout = '1s'", "report_interval = '2s'", "respawn.delay = '1s'"})
        CHECK(difference(base, base + key).change == Change::hot);
}

TEST_CASE("values of the environment are masked, and what looks the same is said to be another value") {
    const auto with = [](const std::string& entries) {
        return base + "[master]\nenvironment = [" + entries + "]";
    };
    CHECK(text_of(difference(with("'TOKEN=alpha', 'LANG'"), with("'TOKEN=beta', 'LANG'"))) ==
          "fresh\nmaster.environment: [\"TOKEN=********\", \"LANG\"] -> another value (fresh)");
    CHECK(text_of(difference(with("'TOKEN=alpha'"), with("'TOKEN='"))) ==
          "fresh\nmaster.environment: [\"TOKEN=********\"] -> [\"TOKEN=\"] (fresh)");
    const std::vector<std::byte> bytes = image_of(with("'TOKEN=alpha', 'LANG'"));
    const Image image = Image::view(bytes);
    for (const std::string& shown : {to_toml(image), to_json(image)}) {
        CHECK(shown.find("alpha") == std::string::npos);
        CHECK(shown.find("\"TOKEN=********\"") != std::string::npos);
        CHECK(shown.find("\"LANG\"") != std::string::npos);
    }
    CHECK(Settings::load(image).master.environment.front() == "TOKEN=alpha");
    CHECK(toy::findings(with("'TO-KEN=alpha'")).find("alpha") == std::string::npos);
    const std::string prefix(70, 'x');
    const auto path = [&](const std::string& end) {
        return base + "[master]\nlog_file = '" + prefix + end + "'";
    };
    CHECK(text_of(difference(path("a"), path("b"))) ==
          "hot\nmaster.log_file: \"" + prefix.substr(0, 56) + "... -> another value (hot)");
}

TEST_CASE("listeners are one list, applied hot, told element by element") {
    const std::string two =
        "[pool.a]\nmodules = ['http']\nlisten = [{ address = '127.0.0.1:80', module = 'http', backlog = 5 }, "
        "{ address "
        "= 'unix:@x', module = 'http' }]\n";
    CHECK(text_of(difference(base, two)) ==
          "hot\npool.a.listen[0].backlog: 4096 -> 5 (hot)\n"
          "pool.a.listen[1]: added { address = \"unix:@x\", module = \"http\" } (hot)");
    CHECK(text_of(difference(two, base)) ==
          "hot\npool.a.listen[0].backlog: 5 -> 4096 (hot)\n"
          "pool.a.listen[1]: removed { address = \"unix:@x\", module = \"http\" } (hot)");
    CHECK(text_of(difference("[pool.a]\nmodules = ['http']", base)) ==
          "hot\npool.a.listen[0]: added { address = \"127.0.0.1:80\", module = \"http\" } (hot)");
}

TEST_CASE("fresh keys, pools and modules that come and go need new workers") {
    CHECK(text_of(difference(base, base + "[module.http]\nhosts = ['a', 'b']")) ==
          "fresh\nmodule.http.hosts: [\"localhost\"] -> [\"a\", \"b\"] (fresh)");
    CHECK(text_of(difference(base, base + "[master]\nuser = 'www'")) ==
          "fresh\nmaster.user: \"\" -> \"www\" (fresh)");
    CHECK(text_of(difference(base, base + "[pool.b]")) == "fresh\npool.b: added (fresh)");
    CHECK(text_of(difference(base + "[pool.b]", base)) == "fresh\npool.b: removed (fresh)");
    CHECK(text_of(difference("[pool.a]", "[pool.a]\nmodules = ['echo']")) ==
          "fresh\npool.a.modules: [] -> [\"echo\"] (fresh)\nmodule.echo: added (fresh)\n"
          "counters: 1 added, 0 retired (fresh)");
    CHECK(text_of(difference("[pool.a]\nmodules = ['echo']", "[pool.a]")) ==
          "fresh\npool.a.modules: [\"echo\"] -> [] (fresh)\nmodule.echo: removed (fresh)\n"
          "counters: 0 added, 1 retired (fresh)");
    // The largest part counts.
    CHECK(difference(base, base + "workers = 7\n[module.http]\nlimits.body = 'off'").change == Change::fresh);
    CHECK(text_of(difference(base, base + "[module.http]\nlimits.body = 'off'")) ==
          "fresh\nmodule.http.limits.body: 1M -> off (fresh)");
}

TEST_CASE("restart keys are listed") {
    const Difference found = difference(base, base + "[master]\nruntime_dir = '/run/x'");
    CHECK(found.change == Change::restart);
    CHECK(found.restart_keys == std::vector<std::string>{"master.runtime_dir"});
    CHECK(text_of(found) == "restart\nmaster.runtime_dir: \"run\" -> \"/run/x\" (restart)");
}

TEST_CASE("long values are cut, and so are many lines") {
    const std::string body(1000, 'x');
    const Difference found =
        difference(base, base + "[[module.http.route]]\npath = '/'\nreturn = { body = '" + body + "' }");
    REQUIRE(found.lines.size() == 1);
    CHECK(found.lines[0].size() < 120);
    CHECK(found.lines[0].find("... (hot)") != std::string::npos);

    std::string few = "[pool.a]\n";
    std::string listeners = "[pool.a]\nmodules = ['http']\n";
    for (int port = 1; port <= 128; ++port)
        listeners += "[[pool.a.listen]]\naddress = '*:" + std::to_string(port) + "'\nmodule = 'http'\n";
    const Difference many = difference(few + "modules = ['http']\n", listeners);
    REQUIRE(many.lines.size() == 101);
    CHECK(many.lines.back() == "and 28 more");
}

TEST_CASE("images of programs that declare other keys can be compared") {
    const auto build = [](std::vector<ImageValue> children) {
        ImageValue root;
        root.children.push_back({.name = "master", .children = std::move(children)});
        return build_image(root);
    };
    const auto left = build({{.name = "gone", .type = ValueType::integer, .apply = Apply::hot, .integer = 1},
                             {.name = "turned", .type = ValueType::integer, .apply = Apply::hot}});
    const auto right =
        build({{.name = "turned", .type = ValueType::text, .apply = Apply::fresh, .text = "x"},
               {.name = "new", .type = ValueType::duration, .apply = Apply::restart, .integer = 5}});
    CHECK(text_of(compare(Image::view(left), Image::view(right))) ==
          "restart\nmaster.gone: 1 -> nothing (hot)\nmaster.turned: 0 -> \"x\" (fresh)\n"
          "master.new: nothing -> 5ms (restart)");
}
