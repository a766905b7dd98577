#include "conf/observer.h"

#include "conf/reader/privileged_values.h"
#include "conf/settings.h"
#include "tests/conf/toy_modules.h"

#include <doctest/doctest.h>

using namespace drover;

namespace {

const std::string pool_of_three = "[pool.main]\nworkers = 3\nmodules = [\"http\"]\n";

std::string only_finding(const std::string& text) {
    const CheckedConfiguration checked = toy::check(text);
    CHECK(checked.findings.size() == 1);
    return checked.findings.empty() ? "" : checked.findings.front();
}

}  // namespace

TEST_CASE("[observer] is a pool_of_three of one worker that observes, after all others") {
    const CheckedConfiguration checked =
        toy::check("[observer]\nlisten = \"127.0.0.1:9180\"\n" + pool_of_three);
    for (const std::string& finding : checked.findings)
        FAIL(finding);
    const Settings settings = Settings::load(Image::view(checked.image));
    REQUIRE(settings.pools.size() == 2);
    CHECK(settings.pools[0].name == "main");
    CHECK_FALSE(settings.pools[0].observes);
    const PoolSettings& observer = settings.pools[1];
    CHECK(observer.name == "observer");
    CHECK(observer.workers == 1);
    CHECK(observer.observes);
    CHECK(observer.modules == std::vector<std::string_view>{"observer"});
    REQUIRE(observer.listen.size() == 1);
    CHECK(observer.listen[0].address.text() == "127.0.0.1:9180");
    CHECK(observer.listen[0].module == "observer");
}

TEST_CASE("what it makes the master do is said before module code runs, as for any pool_of_three") {
    const std::string text = pool_of_three + "[observer]\nlisten = \"127.0.0.1:9180\"\n";
    const CheckedConfiguration checked = toy::check(text);
    CHECK(privileged_values(parse_toml(text, "/etc/toy.toml")) ==
          privileged_values(Settings::load(Image::view(checked.image))));
}

TEST_CASE("mistakes in [observer] are found where they are") {
    CHECK(only_finding(pool_of_three + "[observer]\n")
              .starts_with("/etc/toy.toml:4:2: observer: the key \"listen\" is missing"));
    CHECK(only_finding(pool_of_three + "[observer]\nlisten = 9180\n")
              .starts_with("/etc/toy.toml:5:10: observer.listen: "));
    CHECK(only_finding(pool_of_three + "[observer]\nlisten = \"127.0.0.1:9180\"\nlisen = 1\n")
              .starts_with("/etc/toy.toml:6:1: observer"));
    CHECK(only_finding("observer = 1\n" + pool_of_three).starts_with("/etc/toy.toml:1:12: observer: "));
    CHECK(only_finding(pool_of_three + "[observer]\nlisten = \"nowhere\"\n")
              .starts_with("/etc/toy.toml:5:10: "));
    CHECK(only_finding("[observer]\nlisten = \"127.0.0.1:9180\"\n").find("no pool") != std::string::npos);
    const std::string taken =
        only_finding(pool_of_three + "[observer]\nlisten = \"127.0.0.1:9180\"\n[pool.observer]\n");
    CHECK(taken.starts_with("/etc/toy.toml:6:7: pool.observer: "));
    CHECK(taken.find("[observer]") != std::string::npos);
}

TEST_CASE("a program without the module says so at the table") {
    const Document document = parse_toml("[pool.main]\n[observer]\nlisten = \"127.0.0.1:9180\"\n", "/a.toml");
    const CheckedConfiguration checked = check_document(document, {}, nullptr);
    REQUIRE_FALSE(checked.findings.empty());
    CHECK(checked.findings.front().starts_with("/a.toml:2:2: "));
    CHECK(checked.findings.front().find("observer") != std::string::npos);
}
