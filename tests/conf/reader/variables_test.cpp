// ${NAME} in texts of a configuration.
#include "conf/reader/variables.h"

#include "conf/options/reference.h"
#include "conf/reader/privileged_values.h"
#include "tests/conf/toy_modules.h"

#include <cstdlib>
#include <stdexcept>
#include <string>

#include <doctest/doctest.h>

using namespace drover;

namespace {

struct Variable {
    Variable(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
    ~Variable() { ::unsetenv(name_); }
    Variable(const Variable&) = delete;
    Variable& operator=(const Variable&) = delete;

  private:
    const char* name_;
};

std::string fault_of(std::string_view text) {
    try {
        expand_variables(text);
    } catch (const std::invalid_argument& fault) {
        return fault.what();
    }
    return "";
}

std::string faults_in(std::string_view text) {
    std::string lines;
    const Document document = parse_toml(text, "/f");
    for (const Fault& fault : document.faults)
        lines += document.place_text(fault.place) + ": " + fault.text + "\n";
    return lines;
}

const std::string toy_pool =
    "[pool.main]\nmodules = [\"http\"]\n"
    "[[pool.main.listen]]\naddress = \"127.0.0.1:80\"\nmodule = \"http\"\n";

}  // namespace

TEST_CASE("variables of the environment are put into texts") {
    const Variable name("DROVER_T1", "value");
    const Variable empty("DROVER_T2", "");
    const Variable tricky("DROVER_T3", "${DROVER_T1}");
    ::unsetenv("DROVER_T4");
    CHECK(expand_variables("") == "");
    CHECK(expand_variables("$ {} $x $$ }") == "$ {} $x $$ }");
    CHECK(expand_variables("a ${DROVER_T1}b${DROVER_T1}") == "a valuebvalue");
    CHECK(expand_variables("${DROVER_T2}") == "");
    CHECK(expand_variables("${DROVER_T2:-d}") == "d");
    CHECK(expand_variables("${DROVER_T1:-d}") == "value");
    CHECK(expand_variables("${DROVER_T4:-a b:-$}") == "a b:-$");
    CHECK(expand_variables("${DROVER_T4:-}") == "");
    CHECK(expand_variables("${DROVER_T3}") == "${DROVER_T1}");
    CHECK(expand_variables("$${DROVER_T1} $$${DROVER_T1}") == "${DROVER_T1} $${DROVER_T1}");
    CHECK(fault_of("${DROVER_T4}") ==
          "the environment has no DROVER_T4; set it, or write ${DROVER_T4:-default}");
    for (const char* bad : {"${}", "${1A}", "${A-B}", "${ A}", "${:-x}"})
        CHECK_MESSAGE(fault_of(bad).find("names no variable; write ${NAME}") != std::string::npos, bad);
    CHECK(fault_of("a ${DROVER_T1").starts_with("${ without a }"));
    const Variable latin("DROVER_T5", "\xe4");
    CHECK(fault_of("${DROVER_T5}") == "the value of DROVER_T5 in the environment is not UTF-8");
}

TEST_CASE("what cannot be put in is a finding with its place, and all are found") {
    ::unsetenv("DROVER_T4");
    CHECK(faults_in("a = \"${DROVER_T4}\"\n[b]\nc = [\"x\", \"${\"]\n") ==
          "/f:1:5: the environment has no DROVER_T4; set it, or write ${DROVER_T4:-default}\n"
          "/f:3:11: ${ without a }; write $${ for a ${ that is meant as it is\n");
    const std::string large(100'000, 'x');
    const Variable name("DROVER_T1", large.c_str());
    std::string many;
    for (int i = 0; i < 1000; ++i)
        many += "${DROVER_T1}";
    CHECK(faults_in("a = \"" + many + "\"").find("have more than 4M") != std::string::npos);
    std::string lines;
    for (int i = 0; i < 60; ++i)
        lines += "a" + std::to_string(i) + " = \"${DROVER_T1}\"\n";
    CHECK(faults_in(lines).find("/f:43:7: texts with values") != std::string::npos);
}

TEST_CASE("what cannot be put in is left out of all other checks, which go on") {
    ::unsetenv("DROVER_T4");
    const std::string text =
        "[master]\nlog_level = \"${DROVER_T4}\"\nenvironment = [\"${DROVER_T4}\"]\nruntime_dir = "
        "\"${DROVER_T4}\"\n"
        "[pool.main]\nworkers = 0\nhang_timeout = \"${DROVER_T4}\"\nreport_interval = \"8s\"\n"
        "modules = [\"echo\", \"${DROVER_T4}\"]\nobserves = \"${DROVER_T4}\"\n"
        "[[pool.main.listen]]\naddress = \"${DROVER_T4}\"\nmodule = \"other\"\n"
        "[module.http]\nhosts = \"${DROVER_T4}\"\nlimits = \"${DROVER_T4}\"\n"
        "route = [{ path = \"/\", handler = \"a\", return = { body = \"${DROVER_T4}\" } }]\n"
        "[module.other]\n[observer]\nlisten = \"${DROVER_T4}\"\n";
    std::string expected;
    for (const char* const place : {"2:13", "3:16", "4:15"})
        expected += std::string("F:") + place + ": V\n";
    expected += "F:6:11: pool.main.workers: 0 is out of bounds; allowed: 1 to 1024, or \"auto\"\n";
    for (const char* const place : {"7:16", "9:20", "10:12", "12:11", "15:9", "16:10", "17:57", "20:10"})
        expected += std::string("F:") + place + ": V\n";
    std::string found = toy::findings(text);
    const std::string unset = "the environment has no DROVER_T4; set it, or write ${DROVER_T4:-default}";
    for (std::size_t at = found.find(unset); at != std::string::npos; at = found.find(unset))
        found.replace(at, unset.size(), "V");
    CHECK(found == expected);
}

TEST_CASE("a value of the environment may be a number, a boolean, a size or a duration") {
    const Variable status("DROVER_T1", "404");
    const Variable gzip("DROVER_T2", "false");
    const Variable size("DROVER_T3", "65536");
    const Variable idle("DROVER_T5", "1m30s");
    const std::string text = toy_pool +
                             "[module.http]\ngzip = \"${DROVER_T2}\"\n"
                             "limits = { body = \"${DROVER_T3}\", idle = \"${DROVER_T5}\" }\n"
                             "[[module.http.route]]\npath = \"/\"\nreturn = { status = \"${DROVER_T1}\" }\n";
    const CheckedConfiguration checked = toy::check(text);
    REQUIRE(checked.findings.empty());
    const Image image = Image::view(checked.image);
    const toy::Http http = toy::Http::options().load(image.root().find("module").find("http"));
    CHECK(http.routes.front().reply.status == 404);
    CHECK_FALSE(http.gzip);
    CHECK(http.limits.body == 65536);
    CHECK(http.limits.idle_ms == 90'000);
    // What the file itself says is a text where it is written as one.
    CHECK(toy::findings(toy_pool + "[module.http]\ngzip = \"false\"\n")
              .find("expected a boolean, not a text") != std::string::npos);
    const Variable bad("DROVER_T1", "4o4");
    CHECK(toy::findings(text).find("expected an integer, not \"4o4\"") != std::string::npos);
}

TEST_CASE("the master is told of the values, not of the names") {
    const Variable user("DROVER_T1", "nobody");
    const Document document = parse_toml("[master]\nuser = \"${DROVER_T1}\"\n" + toy_pool, "/f");
    CHECK(privileged_values(document).find("user 6 nobody\n") != std::string::npos);
}

TEST_CASE("a secret is masked wherever a value is shown, and compared as it is") {
    const auto with_key = [](const std::string& key) {
        return toy_pool + "[module.http]\n[[module.http.route]]\npath = \"/\"\nkey = \"" + key + "\"\n";
    };
    const CheckedConfiguration one = toy::check(with_key("alpha"));
    REQUIRE(one.findings.empty());
    const Image running = Image::view(one.image);
    for (const std::string& shown : {to_toml(running), to_json(running)}) {
        CHECK(shown.find("alpha") == std::string::npos);
        CHECK(shown.find("\"********\"") != std::string::npos);
    }
    const CheckedConfiguration two = toy::check(with_key("beta"), &running);
    REQUIRE(two.findings.empty());
    REQUIRE(two.difference.lines.size() == 1);
    CHECK(two.difference.lines.front() == "module.http.route[0].key: \"********\" -> another value (hot)");
    const std::string more = with_key("beta") + "[[module.http.route]]\npath = \"/b\"\nkey = \"gamma\"\n";
    for (const std::string& line : toy::check(more, &running).difference.lines)
        CHECK(line.find("gamma") == std::string::npos);
    CHECK(toy::check(with_key("alpha"), &running).difference.change == Change::none);
    const toy::Http loaded = toy::Http::options().load(running.root().find("module").find("http"));
    CHECK(loaded.routes.front().key == "alpha");
    // Too long: the message has the size alone.
    CHECK(toy::findings(with_key(std::string(100, 's'))).find("ss") == std::string::npos);
}
