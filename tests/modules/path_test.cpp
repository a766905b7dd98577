#include "modules/http/path.h"

#include <doctest/doctest.h>

using namespace drover::http;

namespace {

std::string resolved(std::string_view path) {
    std::string scratch = "left over";
    return std::string(resolve_path(path, scratch).value_or("none"));
}

}  // namespace

TEST_CASE("a path means the same however it is written") {
    CHECK(resolved("/") == "/");
    CHECK(resolved("/a/b.c") == "/a/b.c");
    CHECK(resolved("/%61%2Fb") == "/a/b");
    CHECK(resolved("//a///b//") == "/a/b/");
    CHECK(resolved("/./a/./b/.") == "/a/b/");
    CHECK(resolved("/a/../b") == "/b");
    CHECK(resolved("/a/b/..") == "/a/");
    CHECK(resolved("/a/%2e%2E/b") == "/b");
    CHECK(resolved("/a/..%2fb") == "/b");
    CHECK(resolved("/...") == "/...");
    CHECK(resolved("/.a") == "/.a");
    CHECK(resolved("/a/b/../../") == "/");
    CHECK(resolved("/%25%32%65") == "/%2e");
    CHECK(resolved("/%ff") == "/\xff");
}

TEST_CASE("what leads out, and what is no path, names nothing") {
    for (const char* bad : {"/..", "/../a", "/a/../..", "/a/../../b", "/%2e%2e/", "/a%00b", "/%", "/%4",
                            "/%zz", "/a/%2e%2e/%2e%2e/b", "//..", "/./.."}) {
        CAPTURE(bad);
        CHECK(resolved(bad) == "none");
    }
}

TEST_CASE("names are escaped for links and pages") {
    std::string out;
    append_escaped_path(out, "a b/\"<%?#'&\xff");
    CHECK(out == "a%20b/%22%3C%25%3F%23%27%26%FF");
    out.clear();
    append_escaped_html(out, "<a href=\"x\">&'");
    CHECK(out == "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
}
