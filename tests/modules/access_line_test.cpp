// How a line of the access log is written.
#include "modules/http/access_line.h"

#include <stdexcept>
#include <string>

#include <doctest/doctest.h>

using namespace drover::http;

namespace {

constexpr std::time_t line_second = 784111777;  // Sun, 06 Nov 1994 08:49:37 GMT

LoggedRequest request_with_fields(std::string_view fields) {
    return {.method = "GET", .target = "/a?b", .host = "h", .fields = fields, .minor_version = 1};
}

std::string line_of(std::string_view format, const LoggedRequest& request, bool aborted = false) {
    std::string out;
    AccessLine(format).append(out, {.request = request,
                                    .peer = "192.0.2.1",
                                    .route = "r",
                                    .status = 206,
                                    .bytes = 1234,
                                    .bytes_sent = 1300,
                                    .took_us = 2'000'345,
                                    .aborted = aborted,
                                    .second = line_second});
    return out;
}

std::string fault_of(std::string_view format) {
    try {
        const AccessLine line(format);
    } catch (const std::invalid_argument& fault) {
        return fault.what();
    }
    return "";
}

}  // namespace

TEST_CASE("the formats") {
    const LoggedRequest request = request_with_fields("User-Agent: curl\r\nReferer: http://r/\r\n");
    const std::string common = "192.0.2.1 - - [06/Nov/1994:08:49:37 +0000] \"GET /a?b HTTP/1.1\" 206 1234";
    CHECK(line_of("common", request) == common + " 2.000345 -\n");
    CHECK(line_of("combined", request) == common + " \"http://r/\" \"curl\" 2.000345 -\n");
    CHECK(line_of("json", request) ==
          "{\"time\":\"1994-11-06T08:49:37Z\",\"peer\":\"192.0.2.1\",\"host\":\"h\",\"method\":\"GET\","
          "\"target\":\"/a?b\",\"version\":\"1.1\",\"status\":206,\"bytes\":1234,\"referer\":\"http://r/\","
          "\"user_agent\":\"curl\",\"seconds\":2.000345,\"aborted\":false}\n");
    CHECK(line_of("combined", request_with_fields("")) == common + " \"-\" \"-\" 2.000345 -\n");
    CHECK(line_of("combined", {}).find(" \"-\" 206 ") != std::string::npos);
    CHECK(line_of("common", request, true) == common + " 2.000345 aborted\n");
    CHECK(line_of("json", request, true).ends_with(",\"aborted\":true}\n"));
}

TEST_CASE("what a client sends cannot end a line or a quote") {
    const LoggedRequest request = request_with_fields("User-Agent: a\"b\\c\x01\n\xff\r\n");
    CHECK(line_of("combined", request).find(" \"a\\x22b\\x5cc\\x01\\x0a\\xff\" ") != std::string::npos);
    CHECK(line_of("json", request).find("\"a\\u0022b\\u005cc\\u0001\\u000a\\u00ff\"") != std::string::npos);
    CHECK(line_of("{user_agent}", request) == "a\\x22b\\x5cc\\x01\\x0a\\xff\n");
    CHECK(line_of("{{{header:user-agent}}}", request) == "{a\\u0022b\\u005cc\\u0001\\u000a\\u00ff}\n");
}

TEST_CASE("a template has every name") {
    const LoggedRequest request =
        request_with_fields("X-Forwarded-For: 1.2.3.4\r\nReferer: s\r\nUser-Agent: u\r\n");
    CHECK(line_of("{peer} {status} {bytes} {seconds}", request) == "192.0.2.1 206 1234 2.000345\n");
    CHECK(line_of("{method} {target} {path} {query} {protocol} {version} {host}", request) ==
          "GET /a?b /a b HTTP/1.1 1.1 h\n");
    CHECK(line_of("{request}|{referer}|{user_agent}", request) == "GET /a?b HTTP/1.1|s|u\n");
    CHECK(line_of("[{time}] [{time_clf}]", request) ==
          "[1994-11-06T08:49:37Z] [06/Nov/1994:08:49:37 +0000]\n");
    CHECK(line_of("{bytes_sent} {route} {aborted}", request) == "1300 r -\n");
    CHECK(line_of("{header:X-Forwarded-For} {header:none}", request) == "1.2.3.4 -\n");
    CHECK(line_of("{path}{query}", {.method = "GET", .target = "/"}) == "/-\n");
    CHECK(line_of("a{{b}}c\t{status}", request) == "a{b}c\t206\n");
    CHECK(line_of("{{\"m\":\"{method}\",\"q\":\"{query}\",\"a\":{aborted}}}", {.target = "/"}) ==
          "{\"m\":\"\",\"q\":\"\",\"a\":false}\n");
}

TEST_CASE("a wrong template is refused with what would be right") {
    for (const char* const wrong : {"", "nginx", "combined "})
        CHECK(fault_of(wrong).find("is neither \"common\", \"combined\" nor \"json\"") != std::string::npos);
    CHECK(fault_of("{peer} {adress}").find("\"{adress}\", which is no name; there are {peer}, {time}, ") !=
          std::string::npos);
    CHECK(fault_of("{header:}").find("is no name") != std::string::npos);
    CHECK(fault_of("{header:a b}").find("is no name") != std::string::npos);
    CHECK(fault_of("{peer").find("without its \"}\"") != std::string::npos);
    CHECK(fault_of("{peer} }").find("without its \"{\"") != std::string::npos);
    CHECK(fault_of("{peer}\n{status}").find("control character") != std::string::npos);
}
