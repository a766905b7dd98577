#include "modules/http/file_conditions.h"

#include "modules/http/http_date.h"

#include <string>

#include <doctest/doctest.h>

using namespace drover::http;

namespace {

constexpr std::time_t modified = 784111777;  // Sun, 06 Nov 1994 08:49:37 GMT
const std::string date = "Sun, 06 Nov 1994 08:49:37 GMT";
const std::string earlier = "Sun, 06 Nov 1994 08:49:36 GMT";
const FileState file{.etag = "\"tag\"", .modified = modified, .size = 1000};

unsigned preconditions(const std::string& fields) {
    return check_preconditions(find_conditions(fields), file);
}

// "206 0+10 20+5"
std::string ranges(const std::string& range, const std::string& more = "") {
    const std::string fields = "Range: " + range + "\r\n" + more;
    const RangeChoice choice = choose_ranges(find_conditions(fields), file);
    std::string text = std::to_string(choice.status);
    for (const ByteRange& part : choice.ranges)
        text += " " + std::to_string(part.offset) + "+" + std::to_string(part.length);
    return text;
}

}  // namespace

TEST_CASE("dates are read in all three forms and written in one") {
    CHECK(format_date(modified) == date);
    CHECK(parse_date(date) == modified);
    CHECK(parse_date("Sunday, 06-Nov-94 08:49:37 GMT") == modified);
    CHECK(parse_date("Sun Nov  6 08:49:37 1994") == modified);
    CHECK(parse_date("Wed Nov 16 08:49:37 1994") == modified + 10 * 86400);
    for (const char* bad : {"", "Sun", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 GMT ",
                            "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Foo 1994 08:49:37 GMT",
                            "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT",
                            "Sun, 06 Nov 1994 08-49-37 GMT", "784111777", "Sun Nov  6 08:49:37 94"}) {
        CAPTURE(bad);
        CHECK_FALSE(parse_date(bad));
    }
}

TEST_CASE("preconditions, in their order") {
    CHECK(preconditions("") == 200);
    CHECK(preconditions("If-None-Match: \"tag\"\r\n") == 304);
    CHECK(preconditions("if-none-match: \"a\", W/\"tag\"\r\n") == 304);
    CHECK(preconditions("If-None-Match: *\r\n") == 304);
    CHECK(preconditions("If-None-Match: \"a\"\r\n") == 200);
    CHECK(preconditions("If-None-Match: tag\r\n") == 200);
    CHECK(preconditions("If-Modified-Since: " + date + "\r\n") == 304);
    CHECK(preconditions("If-Modified-Since: " + earlier + "\r\n") == 200);
    CHECK(preconditions("If-Modified-Since: yesterday\r\n") == 200);
    CHECK(preconditions("If-None-Match: \"a\"\r\nIf-Modified-Since: " + date + "\r\n") == 200);
    CHECK(preconditions("If-Match: \"tag\"\r\n") == 200);
    CHECK(preconditions("If-Match: W/\"tag\"\r\n") == 412);
    CHECK(preconditions("If-Match: *\r\n") == 200);
    CHECK(preconditions("If-Match: \"a\"\r\n") == 412);
    CHECK(preconditions("If-Unmodified-Since: " + date + "\r\n") == 200);
    CHECK(preconditions("If-Unmodified-Since: " + earlier + "\r\n") == 412);
    CHECK(preconditions("If-Match: \"tag\"\r\nIf-Unmodified-Since: " + earlier + "\r\n") == 200);
    CHECK(preconditions("If-Match: \"tag\"\r\nIf-None-Match: \"tag\"\r\n") == 304);
}

TEST_CASE("a weak tag, and none") {
    const auto ask = [](const FileState& state, const std::string& fields) {
        return check_preconditions(find_conditions(fields), state);
    };
    const auto part = [](const FileState& state, const std::string& if_range) {
        const std::string fields = "Range: bytes=0-9\r\nIf-Range: " + if_range + "\r\n";
        return choose_ranges(find_conditions(fields), state).status;
    };
    const FileState weak{.etag = "W/\"tag\"", .modified = modified, .size = 1000};
    CHECK(ask(weak, "If-None-Match: W/\"tag\"\r\n") == 304);
    CHECK(ask(weak, "If-None-Match: \"tag\"\r\n") == 304);
    CHECK(ask(weak, "If-Match: W/\"tag\"\r\n") == 412);
    CHECK(ask(weak, "If-Match: \"tag\"\r\n") == 412);
    CHECK(part(weak, "\"tag\"") == 200);
    CHECK(part(weak, "W/\"tag\"") == 200);
    CHECK(part(weak, date) == 200);

    const FileState none{.etag = {}, .modified = {}, .size = 1000};
    CHECK(ask(none, "If-None-Match: \"\", W/, \"tag\"\r\n") == 200);
    CHECK(ask(none, "If-None-Match: *\r\n") == 304);
    CHECK(ask(none, "If-Match: *\r\n") == 200);
    CHECK(ask(none, "If-Match: \"tag\"\r\n") == 412);
    CHECK(ask(none, "If-Modified-Since: " + date + "\r\n") == 200);
    CHECK(ask(none, "If-Unmodified-Since: " + date + "\r\n") == 200);
    CHECK(part(none, "\"\"") == 200);
    CHECK(part(none, date) == 200);
    CHECK(part(none, "never") == 200);
}

TEST_CASE("ranges") {
    CHECK(ranges("bytes=0-9") == "206 0+10");
    CHECK(ranges("Bytes=0-0") == "206 0+1");
    CHECK(ranges("bytes=990-") == "206 990+10");
    CHECK(ranges("bytes=990-5000") == "206 990+10");
    CHECK(ranges("bytes=-10") == "206 990+10");
    CHECK(ranges("bytes=-5000") == "206 0+1000");
    CHECK(ranges("bytes=0-9, 20-24 ,-1") == "206 0+10 20+5 999+1");
    CHECK(ranges("bytes=5000-, 0-9") == "206 0+10");
    CHECK(ranges("bytes=,0-9,,") == "206 0+10");
    CHECK(ranges("bytes=1000-") == "416");
    CHECK(ranges("bytes=-0") == "416");
    CHECK(ranges("bytes=99999999999999999999999-") == "416");
    CHECK(ranges("bytes=0-99999999999999999999999") == "206 0+1000");
    std::string too_many = "bytes=0-0";
    for (int i = 1; i <= 16; ++i)
        too_many += "," + std::to_string(i) + "-" + std::to_string(i);
    for (const std::string& ignored :
         {std::string("bytes="), std::string("bytes=-"), std::string("bytes=9-5"), std::string("bytes=a-b"),
          std::string("bytes=,"), std::string("bytes=0-9;1-2"), std::string("bytes=+1-2"),
          std::string("bytes=0x1-2"), std::string("items=0-9"), std::string("bytes 0-9"),
          std::string("bytes=0-999,0-0"), too_many}) {
        CAPTURE(ignored);
        CHECK(ranges(ignored) == "200");
    }
}

TEST_CASE("a range is only for what the client has a part of") {
    CHECK(ranges("bytes=0-9", "If-Range: \"tag\"\r\n") == "206 0+10");
    CHECK(ranges("bytes=0-9", "If-Range: W/\"tag\"\r\n") == "200");
    CHECK(ranges("bytes=0-9", "If-Range: \"other\"\r\n") == "200");
    CHECK(ranges("bytes=0-9", "If-Range: " + date + "\r\n") == "206 0+10");
    CHECK(ranges("bytes=0-9", "If-Range: " + earlier + "\r\n") == "200");
    CHECK(ranges("bytes=0-9", "If-Range: never\r\n") == "200");
}

TEST_CASE("several lines are one list") {
    CHECK(preconditions("If-None-Match: \"a\"\r\nX: y\r\nif-none-match: \"tag\"\r\n") == 304);
    CHECK(preconditions("If-None-Match: \"tag\"\r\nIf-None-Match: \"a\"\r\n") == 304);
    CHECK(preconditions("If-None-Match:\r\nIf-None-Match: \"tag\"\r\n") == 304);
    CHECK(preconditions("If-Match: \"a\"\r\nIf-Match: \"tag\"\r\n") == 200);
    CHECK(preconditions("If-Match: \"a\"\r\nIf-Match: \"b\"\r\n") == 412);
    const FileConditions conditions = find_conditions(
        "Accept-Encoding: *\r\nIf-Match: \"a\"\r\nAccept-Encoding: br\r\nAccept-Encoding: gzip;q=0\r\n");
    CHECK(conditions.accept_encoding == "*, br, gzip;q=0");
    CHECK(conditions.if_match == "\"a\"");
    CHECK_FALSE(accepts_gzip(conditions.accept_encoding));
}

TEST_CASE("who accepts gzip") {
    for (const char* yes : {"gzip", "br, GZIP", "gzip;q=0.5", "*", "deflate;q=0, gzip ; q=1.0", "x-gzip",
                            "X-GZIP;q=0.1", "*;q=0, gzip", "br, *;q=0.1"})
        CHECK(accepts_gzip(yes));
    for (const char* no : {"", "br", "gzip;q=0", "gzip; q=0.000", "xgzip", "identity", "*, gzip;q=0",
                           "gzip;q=0, *", "x-gzip;q=0, *", "*;q=0"})
        CHECK_FALSE(accepts_gzip(no));
}
