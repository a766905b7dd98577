#include "core/base/visible_text.h"

#include <doctest/doctest.h>

using namespace drover;

TEST_CASE("visible text: what a terminal would obey is shown, all else stays") {
    CHECK(visible_text("a line, 50 % \"quoted\" \\ back") == "a line, 50 % \"quoted\" \\ back");
    CHECK(visible_text("\x1b]0;title\x07 \x7f") == "\\x1b]0;title\\x07 \\x7f");
    CHECK(visible_text("one\ntwo\tthree\r") == "one\\ntwo\\tthree\\r");
    CHECK(visible_text("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80") ==
          "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
    CHECK(visible_text("\xc2\x9b"
                       "31m \xc2\xa0") == "\\u009b31m \xc2\xa0");
    CHECK(visible_text("\xff\xc3(\xe2\x82") == "\\xff\\xc3(\\xe2\\x82");
    CHECK(visible_text({"\0", 1}) == "\\x00");
    CHECK(visible_text("") == "");
}

TEST_CASE("visible text: of lines the newlines and tabs stay") {
    CHECK(visible_lines("one\n\ttwo\x1b\r\n") == "one\n\ttwo\\x1b\\r\n");
}
