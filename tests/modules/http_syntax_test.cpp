#include "modules/http/http_syntax.h"

#include <doctest/doctest.h>

using namespace drover::http;

TEST_CASE("tokens, targets and values have their own characters") {
    CHECK(is_token("X-Y_z!#$%&'*+.^`|~09"));
    for (const char c : std::string_view("()<>@,;:\\\"/[]?={} \t\x7f\x80"))
        CHECK_FALSE(is_token({&c, 1}));
    CHECK_FALSE(is_token(""));
    CHECK(is_target("/a?b=%20&c={|}"));
    CHECK_FALSE(is_target("/a b"));
    CHECK_FALSE(is_target("/a#b"));
    CHECK_FALSE(is_target(""));
    CHECK(is_field_value("a\tb \xff"));
    CHECK(is_field_value(""));
    CHECK_FALSE(is_field_value("a\rb"));
    CHECK_FALSE(is_field_value(std::string_view("\0", 1)));
}

TEST_CASE("lists come apart at their commas") {
    std::string_view list = " a ,,b\t, c";
    CHECK(take_list_element(list) == "a");
    CHECK(take_list_element(list).empty());
    CHECK(take_list_element(list) == "b");
    CHECK(take_list_element(list) == "c");
    CHECK(list.empty());
}

TEST_CASE("case does not matter where it must not") {
    CHECK(equals_ignoring_case("Content-LENGTH", "content-length"));
    CHECK_FALSE(equals_ignoring_case("content_length", "content-length"));
    CHECK_FALSE(equals_ignoring_case("close", "closed"));
}

TEST_CASE("hosts") {
    for (const char* host : {"a", "a.b-c_d", "127.0.0.1:80", "[::1]", "[2001:db8::1]:443", "a:", "xn--a",
                             "a.", "a.b.:80", "a:1", "a:65535", "a:00080", "[::1]:"})
        CHECK(is_host(host));
    for (const char* host : {"",        ":80",
                             "a:b",     "a b",
                             "a,b",     "a/b",
                             "u@a",     "[]",
                             "[::1",    "[g::1]",
                             "[::1]x",  "[::1]:x",
                             ".",       "..",
                             "a..",     ".a",
                             "a..b",    "a..:80",
                             "a:0",     "a:65536",
                             "a:99999", "a:123456789012",
                             "a:+1",    "[::1]:99999"})
        CHECK_FALSE(is_host(host));
}
