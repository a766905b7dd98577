#include "modules/http/http_reply.h"

#include <string>

#include <doctest/doctest.h>

using namespace drover::http;

namespace {

constexpr const char* epoch = "Thu, 01 Jan 1970 00:00:00 GMT";

HttpDate date_of(std::time_t second) {
    HttpDate date;
    date.set(second);
    return date;
}

std::string reply_text(const Reply& reply, Persistence persistence, bool head_only) {
    std::string out;
    append_reply(out, reply, persistence, head_only, date_of(0));
    return out;
}

}  // namespace

TEST_CASE("the date is written as RFC 9110 wants it") {
    CHECK(date_of(0).text() == epoch);
    CHECK(date_of(784111777).text() == "Sun, 06 Nov 1994 08:49:37 GMT");
    CHECK(date_of(1709251199).text() == "Thu, 29 Feb 2024 23:59:59 GMT");
}

TEST_CASE("a reply, byte by byte") {
    const Reply reply{.status = 200, .type = "text/plain", .extra_headers = "X: y\r\n", .body = "hello\n"};
    const std::string start = std::string("HTTP/1.1 200 OK\r\nDate: ") + epoch +
                              "\r\nContent-Type: text/plain\r\nContent-Length: 6\r\nX: y\r\n";
    CHECK(reply_text(reply, Persistence::keep, false) == start + "\r\nhello\n");
    CHECK(reply_text(reply, Persistence::keep, true) == start + "\r\n");
    CHECK(reply_text(reply, Persistence::keep_said, false) ==
          start + "Connection: keep-alive\r\n\r\nhello\n");
    CHECK(reply_text(reply, Persistence::close, false) == start + "Connection: close\r\n\r\nhello\n");
}

TEST_CASE("a reply without a body says no length") {
    const std::string start = std::string("HTTP/1.1 304 Not Modified\r\nDate: ") + epoch + "\r\n\r\n";
    CHECK(reply_text({.status = 304, .type = "a/b", .extra_headers = {}, .body = {}}, Persistence::keep,
                     false) == start);
    const std::string empty =
        reply_text({.status = 200, .type = {}, .extra_headers = {}, .body = {}}, Persistence::keep, false);
    CHECK(empty == std::string("HTTP/1.1 200 OK\r\nDate: ") + epoch + "\r\nContent-Length: 0\r\n\r\n");
}

TEST_CASE("a status that nobody registered has no phrase") {
    CHECK(reason_phrase(299).empty());
    CHECK(reply_text({.status = 299, .type = {}, .extra_headers = {}, .body = {}}, Persistence::keep, false)
              .starts_with("HTTP/1.1 299 \r\nDate: "));
}

TEST_CASE("an error says itself as text") {
    CHECK(error_text(404) == "404 Not Found\n");
    CHECK(error_text(599) == "599 \n");
}

TEST_CASE("a head says a length, chunks or neither, and nothing of a body that may not be") {
    const auto head = [](const ReplyHead& reply) {
        std::string out;
        append_head(out, reply, Persistence::close, date_of(0));
        return out.substr(out.find("GMT\r\n") + 5);
    };
    CHECK(head({.status = 200, .type = "a/b", .extra_headers = "X: y\r\n", .length = 7, .chunked = false}) ==
          "Content-Type: a/b\r\nContent-Length: 7\r\nX: y\r\nConnection: close\r\n\r\n");
    CHECK(head({.status = 200, .type = {}, .extra_headers = {}, .length = {}, .chunked = true}) ==
          "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
    CHECK(head({.status = 204, .type = {}, .extra_headers = {}, .length = 7, .chunked = true}) ==
          "Connection: close\r\n\r\n");
}

TEST_CASE("a fixed reply is the same in every form, and its date goes with the time") {
    const Reply reply{.status = 404, .type = "text/html", .extra_headers = {}, .body = "<p>"};
    FixedReply fixed(reply);
    CHECK(fixed.status() == 404);
    for (const std::time_t second : {0, 1709251199}) {
        const HttpDate date = date_of(second);
        for (const Persistence persistence :
             {Persistence::keep, Persistence::keep_said, Persistence::close}) {
            for (const bool head_only : {false, true}) {
                std::string expected;
                append_reply(expected, reply, persistence, head_only, date);
                CHECK(fixed.bytes(persistence, head_only, date) == expected);
            }
        }
    }
}
