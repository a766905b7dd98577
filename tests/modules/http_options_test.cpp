#include "modules/http/http_options.h"

#include "conf/reader/checker.h"
#include "conf/reader/toml_reader.h"
#include "modules/all_modules.h"
#include "worker/module/module_declarations.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace drover;
using namespace drover::http;

namespace {

const std::string pool = R"(
[pool.main]
modules = ["http"]
[[pool.main.listen]]
address = "127.0.0.1:0"
module = "http"
)";

// A route, its body given.
std::string route(const std::string& body) {
    return "[[module.http.route]]\n" + body + "\n";
}
std::string fixed(const std::string& path) {
    return route("path = \"" + path + "\"\nreturn = { body = \"x\" }");
}

CheckedConfiguration check(const std::string& text) {
    const auto modules = declare_modules(all_modules());
    return check_document(parse_toml(pool + text, "/test.toml"), modules, nullptr);
}

std::string only_finding(const std::string& text) {
    const std::vector<std::string> findings = check(text).findings;
    CAPTURE(text);
    REQUIRE(findings.size() == 1);
    return findings.front();
}

bool contains(const std::string& text, std::string_view part) {
    CAPTURE(text);
    return text.find(part) != std::string::npos;
}

HttpOptions load(const CheckedConfiguration& checked) {
    REQUIRE(checked.findings.empty());
    return HttpOptions::options().load(Image::view(checked.image).root().find("module").find("http"));
}

}  // namespace

TEST_CASE("without a table there are defaults and no routes") {
    const auto checked = check("");
    const HttpOptions options = load(checked);
    CHECK(options.max_head == 16 * 1024);
    CHECK(options.max_target == 8 * 1024);
    CHECK(options.max_headers == 100);
    CHECK(options.max_body == 1024 * 1024);
    CHECK(options.header_timeout_ms == 30'000);
    CHECK(options.routes.empty());
}

TEST_CASE("routes are loaded as they are written") {
    const auto checked = check(fixed("/") + route("path = \"/s\"\nhandler = \"status\"") +
                               route("path = \"/e\"\nreturn = { status = 404, type = \"a/b\" }"));
    const HttpOptions options = load(checked);
    REQUIRE(options.routes.size() == 3);
    CHECK(options.routes[0].path == "/");
    CHECK(options.routes[0].fixed.status == 200);
    CHECK(options.routes[0].fixed.type == "text/plain");
    CHECK(options.routes[0].fixed.body == "x");
    CHECK(options.routes[0].kind() == RouteOptions::Kind::fixed);
    CHECK(options.routes[1].handler == "status");
    CHECK(options.routes[1].kind() == RouteOptions::Kind::handler);
    CHECK(options.routes[2].fixed.status == 404);
    CHECK(options.routes[2].fixed.type == "a/b");
}

TEST_CASE("a route answers in exactly one way") {
    CHECK(contains(only_finding(route("path = \"/\"\nhandler = \"status\"\nreturn = { status = 200 }")),
                   "has \"return\" and \"handler\"; one alone can answer"));
    CHECK(contains(only_finding(fixed("/") + route("path = \"/a\"")),
                   "needs one of \"return\", \"redirect\", \"handler\" and \"root\""));
    CHECK(contains(only_finding(route("path = \"/\"\nhandler = \"stats\"")),
                   "\"stats\" is no handler of this program; it has: status"));
}

TEST_CASE("a path stands once, starts with a slash and can be sent") {
    CHECK(contains(only_finding(fixed("/a") + fixed("/") + fixed("/a")),
                   "\"/a\" is the path of route[0] already"));
    CHECK(contains(only_finding(fixed("a")), "must start with \"/\""));
    for (const char* path : {"/a b", "/\xc3\xa9", "/a?b", "/a#b", "/\\r\\n"})
        CHECK(contains(only_finding(fixed(path)), "has a character that a path is never sent with"));
}

TEST_CASE("a reply is one that can be sent") {
    CHECK(contains(only_finding(route("path = \"/\"\nreturn = { type = \"text/plain\\r\\nX: y\" }")),
                   "has a control character"));
    for (const std::string status : {"204", "205", "304"}) {
        const std::string start = "path = \"/\"\nreturn = { status = " + status;
        CHECK(
            contains(only_finding(route(start + ", body = \"x\" }")), "a reply " + status + " has no body"));
        CHECK(check(route(start + " }")).findings.empty());
    }
    CHECK(contains(only_finding(route("path = \"/\"\nreturn = { status = 100 }")), "200 to 599"));
}

TEST_CASE("the target is a part of the head") {
    CHECK(contains(only_finding("[module.http]\nmax_head = 1024\nmax_target = 1024\n"),
                   "must be less than max_head"));
}

TEST_CASE("redirects, files, hosts and types are checked") {
    const auto redirect = [](const std::string& body) {
        return route("path = \"/\"\nredirect = { " + body + " }");
    };
    CHECK(check(redirect("to = \"/a\", status = 301")).findings.empty());
    CHECK(contains(only_finding(redirect("to = \"\", status = 301")), "must say where to"));
    CHECK(contains(only_finding(redirect("to = \"a b\"")), "has a blank"));
    CHECK(contains(only_finding(redirect("to = \"/\", status = 305")), "must be 301, 302, 303, 307 or 308"));
    CHECK(contains(only_finding(route("path = \"/a\"\nroot = \"/\"")), "must end with \"/\""));
    CHECK(contains(only_finding(route("path = \"/\"\nroot = \"/\"\nindex = \"../y\"")), "is a file's name"));
    CHECK(contains(only_finding(route("path = \"/\"\nroot = \"/\"\nhandler = \"status\"")),
                   "has \"handler\" and \"root\""));
    for (const std::string host : {"a b", "a:80", "*", "*.", ".", "*..", "a/b", "[::1]:80"})
        CHECK(contains(only_finding(route("path = \"/\"\nroot = \"/\"\nhost = \"" + host + "\"")),
                       "is no host name"));
    for (const std::string host : {"a.org", "a.org.", "*.a.org", "127.0.0.1", "[::1]"})
        CHECK(check(route("path = \"/\"\nroot = \"/\"\nhost = \"" + host + "\"")).findings.empty());
    // One host, however it is written.
    for (const std::string host : {"a.org.", "A.org"})
        CHECK(contains(only_finding(route("path = \"/\"\nroot = \"/\"\nhost = \"a.org\"") +
                                    route("path = \"/\"\nroot = \"/\"\nhost = \"" + host + "\"")),
                       "is the path of route[0] already"));
    CHECK(check(fixed("/") + route("host = \"a\"\npath = \"/\"\nroot = \"/\"")).findings.empty());
    CHECK(contains(only_finding("[module.http]\ntypes = [\"md\"]\n"), "is not \"ENDING TYPE\""));
}

TEST_CASE("a route may have a name for metrics, and routes may share one") {
    const std::string named = "return = { body = \"x\" }\nname = ";
    CHECK(check(route("path = \"/a\"\n" + named + "\"one\"") + route("path = \"/b\"\n" + named + "\"one\""))
              .findings.empty());
    CHECK(contains(only_finding(route("path = \"/\"\n" + named + "\"malformed\"")),
                   "route[0].name: \"malformed\""));
    CHECK(contains(only_finding(route("path = \"/\"\n" + named + "\"a\\nb\"")), "has a control character"));
}
