#include "modules/http/request_parser.h"

#include "tests/support/http_replay.h"

#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

using drover::http::RequestLimits;
using drover::test::HttpReplay;
using namespace std::string_literals;

namespace {

struct Case {
    std::string name;
    std::string bytes;
    std::string expected;  // the transcript; a "+" at its end: bytes wait for more
};

std::string replay(const std::vector<std::string_view>& pieces, const RequestLimits& limits) {
    HttpReplay replay(limits);
    for (const std::string_view piece : pieces)
        replay.feed(piece);
    return replay.transcript() + (replay.kept() > 0 && !replay.refused() ? "+" : "");
}

// In one piece, cut in two at each byte, and byte by byte.
void check_pieces(const Case& test, const RequestLimits& limits = {}) {
    CAPTURE(test.name);
    const std::string_view bytes = test.bytes;
    CHECK(replay({bytes}, limits) == test.expected);
    std::vector<std::string_view> single;
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
        CAPTURE(cut);
        REQUIRE(replay({bytes.substr(0, cut), bytes.substr(cut)}, limits) == test.expected);
        single.push_back(bytes.substr(cut, 1));
    }
    CHECK(replay(single, limits) == test.expected);
}

void check_all(const std::vector<Case>& cases) {
    for (const Case& test : cases)
        check_pieces(test);
}

const std::string host = "Host: a\r\n";
const std::string get_line = "GET / HTTP/1.1\r\n" + host;
const std::string good = " / host=a 1.1 keep";

}  // namespace

TEST_CASE("requests that are right") {
    check_all({
        {"smallest", get_line + "\r\n", "GET" + good + ";"},
        {"head", "HEAD /x?y=1 HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD /x host=a 1.1 keep;"},
        {"1.0 without host", "GET / HTTP/1.0\r\n\r\n", "GET / host= 1.0 close;"},
        {"1.0 keep-alive", "GET / HTTP/1.0\r\nconnection: Keep-Alive\r\n\r\n", "GET / host= 1.0 keep;"},
        {"1.0 keep-alive and close", "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n",
         "GET / host= 1.0 close;"},
        {"close", get_line + "Connection: foo, CLOSE\r\n\r\n", "GET / host=a 1.1 close;"},
        {"close in a second header", get_line + "Connection: foo\r\nConnection: close\r\n\r\n",
         "GET / host=a 1.1 close;"},
        {"closed is not close", get_line + "Connection: closed\r\n\r\n", "GET" + good + ";"},
        {"blanks around values", "GET / HTTP/1.1\r\nHost: \t a \t\r\nX:\r\nY:  \r\n\r\n", "GET" + good + ";"},
        {"value with high bytes and tab", get_line + "X: \xc3\xa9\ty\r\n\r\n", "GET" + good + ";"},
        {"host with port", "GET / HTTP/1.1\r\nHost: a.b:80\r\n\r\n", "GET / host=a.b:80 1.1 keep;"},
        {"host is an IPv6 address", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
         "GET / host=[::1]:80 1.1 keep;"},
        {"two pipelined", get_line + "\r\n" + get_line + "\r\n", "GET" + good + ";GET" + good + ";"},
        {"pipelined, the last unfinished", get_line + "\r\n" + get_line, "GET" + good + ";+"},
        {"empty lines before", "\r\n\r\n" + get_line + "\r\n\r\n" + get_line + "\r\n",
         "GET" + good + ";GET" + good + ";"},
        {"absolute target", "GET http://b:8/c?d HTTP/1.1\r\nHost: a\r\n\r\n", "GET /c host=b:8 1.1 keep;"},
        {"absolute target without a path", "GET HTTPS://b HTTP/1.1\r\nHost: a\r\n\r\n",
         "GET / host=b 1.1 keep;"},
        {"absolute target with a query alone", "GET http://b?c HTTP/1.1\r\nHost: a\r\n\r\n",
         "GET / host=b 1.1 keep;"},
        {"other method", "POST / HTTP/1.1\r\nHost: a\r\n\r\n", "OTHER" + good + ";"},
        {"method with a hyphen", "M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n", "OTHER" + good + ";"},
        {"options of the server", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OTHER * host=a 1.1 keep;"},
        {"connect", "CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n", "OTHER  host=b:443 1.1 keep;"},
        {"upgrade is not taken up",
         get_line + "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n" + get_line + "\r\n",
         "GET" + good + ";GET" + good + ";"},
        {"expect", get_line + "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\nx",
         "GET" + good + " expect body=1;"},
        {"expect in 1.0", "GET / HTTP/1.0\r\nExpect: magic\r\n\r\n", "GET / host= 1.0 close;"},
    });
}

TEST_CASE("request lines that are wrong") {
    check_all({
        {"0.9", "GET /\r\n", "!400"},
        {"no target", "GET HTTP/1.1\r\n\r\n", "!400"},
        {"empty target", "GET  HTTP/1.1\r\n", "!400"},
        {"two blanks after the method", "GET  / HTTP/1.1\r\n", "!400"},
        {"two blanks before the version", "GET /  HTTP/1.1\r\n", "!400"},
        {"blank in the target", "GET /a b HTTP/1.1\r\n", "!400"},
        {"tab for a blank", "GET\t/ HTTP/1.1\r\n", "!400"},
        {"blank at the end", "GET / HTTP/1.1 \r\n", "!400"},
        {"blank before", " GET / HTTP/1.1\r\n", "!400"},
        {"bare LF", "GET / HTTP/1.1\n", "!400"},
        {"bare CR", "GET / HTTP/1.1\rX\r\n", "!400"},
        {"CR twice", "GET / HTTP/1.1\r\r\n", "!400"},
        {"NUL in the target", "GET /\0 HTTP/1.1\r\n"s, "!400"},
        {"control character in the target", "GET /\x01 HTTP/1.1\r\n", "!400"},
        {"DEL in the target", "GET /\x7f HTTP/1.1\r\n", "!400"},
        {"high byte in the target", "GET /\xe9 HTTP/1.1\r\n", "!400"},
        {"fragment", "GET /#a HTTP/1.1\r\n", "!400"},
        {"version in small letters", "GET / http/1.1\r\n", "!400"},
        {"version without minor", "GET / HTTP/1\r\n", "!400"},
        {"version with two digits", "GET / HTTP/1.10\r\n", "!400"},
        {"another protocol", "GET / RTSP/1.0\r\n", "!400"},
        {"version 2", "GET / HTTP/2.0\r\n", "!505"},
        {"version 1.2", "GET / HTTP/1.2\r\n", "!505"},
        {"version 0.9", "GET / HTTP/0.9\r\n", "!505"},
        {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "!505"},
        {"TLS", "\x16\x03\x01\x02", "!400"},
        {"not a token for a method", "G@T / HTTP/1.1\r\n", "!400"},
        {"unknown method", "BREW / HTTP/1.1\r\n" + host + "\r\n", "!501"},
        {"method in small letters", "get / HTTP/1.1\r\n" + host + "\r\n", "!501"},
        {"longer than a known method", "GETS / HTTP/1.1\r\n" + host + "\r\n", "!501"},
        {"method of another protocol", "DESCRIBE / HTTP/1.1\r\n" + host + "\r\n", "!501"},
        {"preface method, version 1.1", "PRI * HTTP/1.1\r\n" + host + "\r\n", "!400"},
        {"relative target", "GET a HTTP/1.1\r\n" + host + "\r\n", "!400"},
        {"star with GET", "GET * HTTP/1.1\r\n" + host + "\r\n", "!400"},
        {"authority with GET", "GET a:80 HTTP/1.1\r\n" + host + "\r\n", "!400"},
        {"absolute target without authority", "GET http:///x HTTP/1.1\r\n" + host + "\r\n", "!400"},
        {"absolute target with a user", "GET http://u@b/ HTTP/1.1\r\n" + host + "\r\n", "!400"},
        {"absolute target of another scheme", "GET ftp://b/ HTTP/1.1\r\n" + host + "\r\n", "!400"},
        {"connect without a port", "CONNECT b HTTP/1.1\r\n" + host + "\r\n", "!400"},
        {"connect with an empty port", "CONNECT b: HTTP/1.1\r\n" + host + "\r\n", "!400"},
        {"connect to port 0", "CONNECT b:0 HTTP/1.1\r\n" + host + "\r\n", "!400"},
        {"connect to a port too large", "CONNECT b:65536 HTTP/1.1\r\n" + host + "\r\n", "!400"},
        {"connect to an address without a port", "CONNECT [::1] HTTP/1.1\r\n" + host + "\r\n", "!400"},
        {"connect to a path", "CONNECT / HTTP/1.1\r\n" + host + "\r\n", "!400"},
        {"too many empty lines", "\r\n\r\n\r\n\r\n\r\n" + get_line + "\r\n", "!400"},
        {"empty lines end with bare LF", "\n" + get_line + "\r\n", "!400"},
        {"CR alone before", "\rGET", "!400"},
    });
}

TEST_CASE("headers that are wrong") {
    check_all({
        {"bare LF", get_line + "X: y\n\r\n", "!400"},
        {"bare LF, seen before the head is complete", get_line + "X: y\n", "!400"},
        {"bare LF for the last line", get_line + "\n", "!400"},
        {"bare CR in a value", get_line + "X: a\rb\r\n\r\n", "!400"},
        {"CR twice", get_line + "X: a\r\r\n\r\n", "!400"},
        {"NUL in a value", get_line + "X: a\0b\r\n\r\n"s, "!400"},
        {"control character in a value", get_line + "X: a\x08\r\n\r\n", "!400"},
        {"DEL in a value", get_line + "X: a\x7f\r\n\r\n", "!400"},
        {"obs-fold", get_line + "X: a\r\n b\r\n\r\n", "!400"},
        {"obs-fold with a tab", get_line + "X: a\r\n\tb\r\n\r\n", "!400"},
        {"blank before the first header", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", "!400"},
        {"blank before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", "!400"},
        {"tab before the colon", get_line + "X\t: a\r\n\r\n", "!400"},
        {"blank in a name", get_line + "X Y: a\r\n\r\n", "!400"},
        {"empty name", get_line + ": a\r\n\r\n", "!400"},
        {"no colon", get_line + "X\r\n\r\n", "!400"},
        {"high byte in a name", get_line + "\xe9: a\r\n\r\n", "!400"},
        {"parenthesis in a name", get_line + "X(: a\r\n\r\n", "!400"},
        {"unknown expectation", get_line + "Expect: magic\r\n\r\n", "!417"},
    });
}

TEST_CASE("the host of a request") {
    check_all({
        {"missing", "GET / HTTP/1.1\r\n\r\n", "!400"},
        {"missing beside an absolute target", "GET http://a/ HTTP/1.1\r\n\r\n", "!400"},
        {"twice", get_line + "Host: a\r\n\r\n", "!400"},
        {"twice in 1.0", "GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n", "!400"},
        {"empty", "GET / HTTP/1.1\r\nHost:\r\n\r\n", "!400"},
        {"with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "!400"},
        {"with a user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "!400"},
        {"with a blank", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "!400"},
        {"joined", "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", "!400"},
        {"port is no number", "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", "!400"},
        {"port is too long", "GET / HTTP/1.1\r\nHost: a:123456\r\n\r\n", "!400"},
        {"port alone", "GET / HTTP/1.1\r\nHost: :80\r\n\r\n", "!400"},
        {"open bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", "!400"},
        {"behind the bracket", "GET / HTTP/1.1\r\nHost: [::1]a\r\n\r\n", "!400"},
        {"wrong, but in an absolute target", "GET http://b/ HTTP/1.1\r\nHost: a b\r\n\r\n", "!400"},
    });
}

TEST_CASE("the length of a body") {
    const std::string post = "POST / HTTP/1.1\r\nHost: a\r\n";
    check_all({
        {"sized", post + "Content-Length: 3\r\n\r\nabc" + get_line + "\r\n",
         "OTHER" + good + " body=3;GET" + good + ";"},
        {"none", post + "Content-Length: 0\r\n\r\n" + get_line + "\r\n",
         "OTHER" + good + ";GET" + good + ";"},
        {"zeros in front", post + "Content-Length: 003\r\n\r\nabc", "OTHER" + good + " body=3;"},
        {"of a GET", get_line + "Content-Length: 2\r\n\r\nab", "GET" + good + " body=2;"},
        {"sign", post + "Content-Length: +5\r\n\r\n", "!400"},
        {"minus", post + "Content-Length: -1\r\n\r\n", "!400"},
        {"hexadecimal", post + "Content-Length: 0x5\r\n\r\n", "!400"},
        {"blank within", post + "Content-Length: 1 2\r\n\r\n", "!400"},
        {"empty", post + "Content-Length:\r\n\r\n", "!400"},
        {"list", post + "Content-Length: 5, 5\r\n\r\n", "!400"},
        {"twice the same", post + "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", "!400"},
        {"twice", post + "Content-Length: 5\r\ncontent-length: 6\r\n\r\n", "!400"},
        {"behind a blank in the name", post + "Content-Length : 5\r\n\r\n", "!400"},
        {"not a number", post + "Content-Length: five\r\n\r\n", "!400"},
        {"as long as may be", post + "Content-Length: 1024\r\n\r\n" + std::string(1024, 'x'),
         "OTHER" + good + " body=1024;"},
        {"too long", post + "Content-Length: 1025\r\n\r\n", "OTHER" + good + "!413"},
        {"with transfer-encoding", post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "!400"},
        {"with transfer-encoding before", post + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
         "!400"},
    });
    SUBCASE("beyond 64 bits") {
        HttpReplay replay;
        replay.feed(post + "Content-Length: 18446744073709551616\r\n\r\n");
        const bool is_refused = replay.transcript() == "!413" || replay.transcript() == "!400";
        CHECK(is_refused);
    }
}

TEST_CASE("transfer codings") {
    const std::string post = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ";
    check_all({
        {"chunked", post + "Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + get_line + "\r\n",
         "OTHER" + good + " body=13;GET" + good + ";"},
        {"unknown", post + "gzip\r\n\r\n", "!501"},
        {"unknown, then chunked", post + "gzip, chunked\r\n\r\n", "!501"},
        {"unknown, then chunked in a second header", post + "gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
         "!501"},
        {"identity", post + "identity\r\n\r\n", "!501"},
        {"nearly chunked", post + "xchunked\r\n\r\n", "!501"},
        {"chunked and more letters", post + "chunkedx\r\n\r\n", "!501"},
        {"chunked is not last", post + "chunked, gzip\r\n\r\n", "!400"},
        {"chunked is not last, in a second header", post + "chunked\r\nTransfer-Encoding: gzip\r\n\r\n",
         "!400"},
        {"chunked twice", post + "chunked, chunked\r\n\r\n", "!400"},
        {"chunked twice, in a second header", post + "chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "!400"},
        {"empty", post + "\r\n\r\n", "!400"},
        {"vertical tab before", post + "\vchunked\r\n\r\n", "!400"},
        {"in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "!400"},
    });
}

TEST_CASE("sizes and numbers have limits") {
    const RequestLimits limits{.head_size = 100, .target_size = 20, .header_count = 3};
    const auto target = [](std::size_t size) { return "/" + std::string(size - 1, 'x'); };
    const auto filled = [&](std::size_t head_size) {
        return get_line + "X: " + std::string(head_size - get_line.size() - 7, 'y') + "\r\n\r\n";
    };
    check_pieces({"target as long as may be", "GET " + target(20) + " HTTP/1.1\r\n" + host + "\r\n",
                  "GET " + target(20) + " host=a 1.1 keep;"},
                 limits);
    check_pieces({"target too long", "GET " + target(21) + " HTTP/1.1\r\n" + host + "\r\n", "!414"}, limits);
    check_pieces({"request line without an end", "GET " + target(200), "!414"}, limits);
    check_pieces({"method without an end", std::string(200, 'G'), "!414"}, limits);
    check_pieces({"head as long as may be", filled(100), "GET" + good + ";"}, limits);
    check_pieces({"head too long", filled(101), "!431"}, limits);
    check_pieces({"head without an end", get_line + "X: " + std::string(200, 'y'), "!431"}, limits);
    check_pieces({"as many headers as may be", get_line + "X: 1\r\nX: 2\r\n\r\n", "GET" + good + ";"},
                 limits);
    check_pieces({"too many headers", get_line + "X: 1\r\nX: 2\r\nX: 3\r\n\r\n", "!431"}, limits);
    check_pieces({"wrong before it is too long", "GET / HTTP/1.1\n" + std::string(200, 'y'), "!400"}, limits);
}

TEST_CASE("an unfinished head is looked at once, not again for each byte") {
    drover::http::RequestParser parser;
    drover::http::HeadProgress progress;
    const std::string unfinished = get_line + "X: y";
    CHECK(parser.parse(unfinished, progress).state == drover::http::HeadState::incomplete);
    CHECK(progress.scanned == unfinished.size());
    CHECK(progress.line_start == get_line.size());
    CHECK(parser.parse(unfinished + "\r\n\r\n", progress).state == drover::http::HeadState::complete);
    CHECK(progress.scanned == 0);
}
