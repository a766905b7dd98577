#include "conf/options/value_text.h"

#include <doctest/doctest.h>

using namespace drover;

TEST_CASE("durations are an integer and a unit") {
    CHECK(parse_duration("250ms") == 250);
    CHECK(parse_duration("30s") == 30'000);
    CHECK(parse_duration("5m") == 300'000);
    CHECK(parse_duration("2h") == 7'200'000);
    CHECK(parse_duration("1d") == 86'400'000);
    CHECK(parse_duration("0s") == 0);
    CHECK(parse_duration("1m30s") == 90'000);
    CHECK(parse_duration("1d2h3m4s5ms") == 93'784'005);
    CHECK(parse_duration("1h5ms") == 3'600'005);
    for (const char* wrong : {"",
                              "s",
                              "10",
                              "-1s",
                              "+1s",
                              " 1s",
                              "1 s",
                              "1s ",
                              "1.5s",
                              "1S",
                              "1w",
                              "1s1s",
                              "1s1m",
                              "1m30",
                              "1m 30s",
                              "9223372036854775807ms1ms",
                              "0x1s",
                              "9223372036854775808ms",
                              "9223372036854775807s",
                              "106751991168d",
                              "106751991167d24h"})
        CHECK_MESSAGE(!parse_duration(wrong), wrong);
    CHECK(parse_duration("9223372036854775807ms") == 9223372036854775807);
}

TEST_CASE("sizes are bytes, or in powers of 1024 or 1000") {
    CHECK(parse_size("65536") == 65536);
    for (const char* kibibytes : {"64K", "64k", "64KiB"})
        CHECK(parse_size(kibibytes) == 65536);
    for (const char* mebibytes : {"16m", "16MiB"})
        CHECK(parse_size(mebibytes) == 16777216);
    CHECK(parse_size("10kB") == 10'000);
    CHECK(parse_size("10MB") == 10'000'000);
    CHECK(parse_size("2GB") == 2'000'000'000);
    CHECK(parse_size("2GiB") == 2'147'483'648);
    CHECK(parse_size("1g") == 1073741824);
    CHECK(parse_size("16M") == 16777216);
    CHECK(parse_size("1G") == 1073741824);
    for (const char* wrong : {"", "K", "64KB", "64kib", "64kiB", "64Kb", "1K1K", "64 K", "64B", "-1K", "1.5K",
                              "9223372036854775807G"})
        CHECK_MESSAGE(!parse_size(wrong), wrong);
}

TEST_CASE("numbers print with the largest unit that divides them, and read back") {
    CHECK(duration_text(0) == "0");
    CHECK(duration_text(250) == "250ms");
    CHECK(duration_text(1500) == "1500ms");
    CHECK(duration_text(90'000) == "90s");
    CHECK(duration_text(86'400'000) == "1d");
    CHECK(size_text(0) == "0");
    CHECK(size_text(1023) == "1023");
    CHECK(size_text(1536) == "1536");
    CHECK(size_text(65536) == "64K");
    CHECK(size_text(1073741824) == "1G");
    for (const std::int64_t number : {1, 999, 1000, 61'000, 3'600'000, 172'800'000})
        CHECK(parse_duration(duration_text(number)) == number);
}

TEST_CASE("texts are quoted so that they stay on their line") {
    CHECK(toml_string("a\"b\\c\n\t\r\x01\x7f é") == R"("a\"b\\c\n\t\r\u0001\u007F é")");
    CHECK(cut_text("abcdef", 6) == "abcdef");
    CHECK(cut_text("abcdefg", 6) == "abc...");
    CHECK(cut_text("aéééé", 6) == "aé...");
    CHECK(cut_text("ééééé", 6) == "é...");
}
