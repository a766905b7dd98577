#include "core/base/utf8.h"

#include <doctest/doctest.h>

using drover::utf8_length;

TEST_CASE("utf8_length takes one character") {
    CHECK(utf8_length("") == 0);
    CHECK(utf8_length(std::string_view("\0", 1)) == 1);
    CHECK(utf8_length("a\xff") == 1);
    CHECK(utf8_length("\xc2\x80") == 2);
    CHECK(utf8_length("\xe0\xa0\x80x") == 3);
    CHECK(utf8_length("\xed\x9f\xbf") == 3);
    CHECK(utf8_length("\xf0\x90\x80\x80") == 4);
    CHECK(utf8_length("\xf4\x8f\xbf\xbf") == 4);
}

TEST_CASE("utf8_prefix takes as many as there are") {
    CHECK(drover::utf8_prefix("") == 0);
    CHECK(drover::utf8_prefix("a\xc3\xa4") == 3);
    CHECK(drover::utf8_prefix("a\xc3\xa4\xff"
                              "b") == 3);
}

TEST_CASE("utf8_length refuses what is none") {
    for (const char* bad :
         {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x41", "\xe0\x9f\xbf", "\xe2\x82",
          "\xe2\x82\x41", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff"})
        CHECK_MESSAGE(utf8_length(bad) == 0, bad);
}
