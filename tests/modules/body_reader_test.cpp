#include "modules/http/body_reader.h"

#include <string>
#include <string_view>

#include <doctest/doctest.h>

using drover::http::BodyReader;
using drover::http::Framing;
using drover::http::RequestHead;

namespace {

RequestHead chunked_head() {
    RequestHead head;
    head.framing = Framing::chunked;
    return head;
}

// "done N": N bytes belong to it; "more": it goes on; "400".
std::string outcome(std::string_view bytes, std::size_t piece_size, std::uint64_t max_size) {
    BodyReader reader(chunked_head(), max_size);
    std::size_t used = 0;
    for (std::size_t at = 0; at < bytes.size(); at += piece_size) {
        used += reader.read(bytes.substr(at, piece_size));
        if (reader.refusal() != 0) return std::to_string(reader.refusal());
        if (reader.done()) return "done " + std::to_string(used);
    }
    return "more";
}

std::string chunked(std::string_view bytes, std::uint64_t max_size = 100) {
    std::string whole = outcome(bytes, bytes.size(), max_size);
    for (std::size_t piece_size = 1; piece_size < bytes.size(); ++piece_size)
        REQUIRE(outcome(bytes, piece_size, max_size) == whole);
    return whole;
}

}  // namespace

TEST_CASE("a sized body ends with its last byte") {
    RequestHead head;
    head.framing = Framing::sized;
    head.content_length = 5;
    BodyReader reader(head, 100);
    CHECK(reader.read("abc") == 3);
    CHECK_FALSE(reader.done());
    CHECK(reader.read("deGET /") == 2);
    CHECK(reader.done());
    CHECK(reader.refusal() == 0);
    CHECK(reader.read("more") == 0);
}

TEST_CASE("chunked bodies that are right") {
    CHECK(chunked("0\r\n\r\nGET") == "done 5");
    CHECK(chunked("3\r\nabc\r\n0\r\n\r\nGET") == "done 13");
    CHECK(chunked("a\r\n0123456789\r\nA\r\n0123456789\r\n00\r\n\r\n") == "done 36");
    CHECK(chunked("2;name=\"va lue\";x\r\n\r\n\r\n0;last\r\n\r\n") == "done 33");
    CHECK(chunked("0\r\nX: y\r\nZ:\r\n\r\nGET") == "done 15");
    CHECK(chunked("3\r\nab") == "more");
    CHECK(chunked("0\r\n\r") == "more");
}

TEST_CASE("chunked bodies that are wrong") {
    CHECK(chunked("\r\n") == "400");
    CHECK(chunked("+3\r\nabc\r\n") == "400");
    CHECK(chunked("-1\r\n") == "400");
    CHECK(chunked("0x3\r\nabc\r\n") == "400");
    CHECK(chunked(" 3\r\nabc\r\n") == "400");
    CHECK(chunked("3 \r\nabc\r\n") == "400");
    CHECK(chunked("3\nabc\r\n") == "400");
    CHECK(chunked("3\r\rabc\r\n") == "400");
    CHECK(chunked("3\r\nabcd\r\n") == "400");
    CHECK(chunked("3\r\nabc\n0\r\n\r\n") == "400");
    CHECK(chunked("3\r\nabc\rx") == "400");
    CHECK(chunked("3;a\nabc\r\n") == "400");
    CHECK(chunked("3;a\rb\r\n") == "400");
    CHECK(chunked(std::string_view("3;\0\r\n", 5)) == "400");
    CHECK(chunked("0\r\n\n") == "400");
    CHECK(chunked("0\r\n\rx") == "400");
    CHECK(chunked("0\r\n folded\r\n\r\n") == "400");
    CHECK(chunked("0\r\n: y\r\n\r\n") == "400");
    CHECK(chunked("0\r\nX y: z\r\n\r\n") == "400");
    CHECK(chunked("0\r\nX: y\n\r\n") == "400");
    CHECK(chunked("0\r\nX: \x01\r\n\r\n") == "400");
}

TEST_CASE("chunked bodies have limits") {
    CHECK(chunked("3\r\nabc\r\n3\r\nabc\r\n0\r\n\r\n", 6) == "done 21");
    CHECK(chunked("3\r\nabc\r\n4\r\nabcd\r\n0\r\n\r\n", 6) == "413");
    CHECK(chunked("7\r\n", 6) == "413");
    CHECK(chunked("10000000000000003\r\nabc\r\n", 6) == "413");
    CHECK(outcome("ffffffffffffffff0\r\n", 1, UINT64_MAX) == "413");
    CHECK(outcome("1;" + std::string(20000, 'x'), 1000, 100) == "413");
    CHECK(outcome(std::string(20000, '0'), 1000, 100) == "413");
    CHECK(outcome("0\r\nX: " + std::string(20000, 'x'), 1000, 100) == "413");
    std::string many;
    for (int chunk = 0; chunk < 20000; ++chunk)
        many += "1;x\r\na\r\n";
    CHECK(outcome(many, 1000, UINT64_MAX) == "413");
}
