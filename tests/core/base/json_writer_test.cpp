#include "core/base/json_writer.h"

#include <cstdint>
#include <limits>

#include <doctest/doctest.h>

using drover::JsonWriter;

namespace {

std::string text_of(std::string_view text) {
    JsonWriter json;
    json.value(text);
    return json.take();
}

}  // namespace

TEST_CASE("JsonWriter puts commas and colons where they belong") {
    JsonWriter json;
    json.begin_object();
    json.member("a", 1);
    json.key("b");
    json.begin_array();
    json.value(true);
    json.null();
    json.begin_object();
    json.end_object();
    json.begin_array();
    json.end_array();
    json.end_array();
    json.member("c", "text");
    json.end_object();
    CHECK(json.take() == R"({"a":1,"b":[true,null,{},[]],"c":"text"})");

    json.value("again");
    CHECK(json.take() == "\"again\"");
}

TEST_CASE("JsonWriter writes every kind of number") {
    JsonWriter json;
    json.begin_array();
    json.value(std::numeric_limits<std::int64_t>::min());
    json.value(std::numeric_limits<std::uint64_t>::max());
    json.value(std::uint16_t{7});
    json.value(0.1);
    json.value(1e300);
    json.value(std::numeric_limits<double>::quiet_NaN());
    json.value(std::numeric_limits<double>::infinity());
    json.value(false);
    json.end_array();
    CHECK(json.take() == "[-9223372036854775808,18446744073709551615,7,0.1,1e+300,null,null,false]");
}

TEST_CASE("JsonWriter escapes what must be escaped and lets UTF-8 pass") {
    CHECK(text_of("a\"b\\c\n\t\r") == R"("a\"b\\c\n\t\r")");
    CHECK(text_of(std::string_view("\0\x1f\x7f", 3)) == R"("\u0000\u001f\u007f")");
    CHECK(text_of("\xc2\x9b") == R"("\u009b")");  // a terminal takes it for an escape sequence's beginning
    CHECK(text_of("grün €  \xf0\x9f\x90\x91") == "\"grün €  \xf0\x9f\x90\x91\"");
}

TEST_CASE("JsonWriter replaces what is no UTF-8") {
    const std::string bad = "\xef\xbf\xbd";
    CHECK(text_of("\xff") == "\"" + bad + "\"");
    CHECK(text_of("a\x80z") == "\"a" + bad + "z\"");
    CHECK(text_of("\xc0\xaf") == "\"" + bad + bad + "\"");                 // overlong
    CHECK(text_of("\xed\xa0\x80") == "\"" + bad + bad + bad + "\"");       // surrogate
    CHECK(text_of("\xf4\x90\x80\x80").find('\x90') == std::string::npos);  // above U+10FFFF
    CHECK(text_of("\xe2\x82") == "\"" + bad + bad + "\"");                 // cut off
}

TEST_CASE("JsonWriter indents when asked") {
    JsonWriter json(2);
    json.begin_object();
    json.key("list");
    json.begin_array();
    json.value(1);
    json.value(2);
    json.end_array();
    json.key("empty");
    json.begin_object();
    json.end_object();
    json.end_object();
    CHECK(json.take() == "{\n  \"list\": [\n    1,\n    2\n  ],\n  \"empty\": {}\n}");
}
