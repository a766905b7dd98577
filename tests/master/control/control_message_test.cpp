#include "master/control/control_message.h"

#include <doctest/doctest.h>

using namespace drover;
using Kind = ControlReply::Kind;

namespace {

std::string error_of(std::string_view line) {
    return parse_control_request(line).error;
}

bool complains(std::string_view line, std::string_view reason) {
    const std::string error = error_of(line);
    CAPTURE(error);
    return !error.empty() && error.find(reason) != error.npos;
}

}  // namespace

TEST_CASE("every command is understood, plain and with its members") {
    for (const char* command : {"reload", "stop", "quit", "reopen", "status", "config"}) {
        const ParsedControlRequest parsed =
            parse_control_request(std::string("{\"command\":\"") + command + "\"}");
        CHECK(parsed.error == "");
        CHECK(parsed.request.command == command);
        CHECK(parsed.request.format.empty());
        CHECK_FALSE(parsed.request.progress);
    }
    const ParsedControlRequest full =
        parse_control_request(R"( {"progress": true, "format": "json", "command": "status", "later": [1]} )");
    CHECK(full.error == "");
    CHECK(full.request.format == "json");
    CHECK(full.request.progress);
    CHECK(parse_control_request(R"({"command":"config","format":"text"})").request.format.empty());
}

TEST_CASE("events: how many, in which form, and whether there are more to come") {
    const ParsedControlRequest plain = parse_control_request(R"({"command":"events"})");
    CHECK(plain.error == "");
    CHECK_FALSE(plain.request.follow);
    CHECK_FALSE(plain.request.last.has_value());
    ControlRequest request{.command = "events", .format = "json"};
    request.follow = true;
    request.last = 0;
    const ParsedControlRequest back = parse_control_request(control_request_line(request));
    CHECK(back.error == "");
    CHECK(back.request.follow);
    CHECK(back.request.last == 0U);
    CHECK(complains(R"({"command":"events","last":-1})", "\"last\" must be a number"));
    CHECK(complains(R"({"command":"events","follow":1})", "\"follow\" must be true or false"));
    const ControlReply reply = parse_control_reply(control_event_line("a \"b\""));
    CHECK(reply.kind == Kind::event);
    CHECK(reply.text == "a \"b\"");
}

TEST_CASE("what is no request is refused with a reason") {
    CHECK(complains("", "not JSON"));
    CHECK(complains("{", "not JSON"));
    CHECK(complains("{\"command\":\"stop\"} x", "not JSON"));
    CHECK(complains("\"stop\"", "not a JSON object"));
    CHECK(complains("null", "not a JSON object"));
    CHECK(complains("{}", "\"command\" is missing"));
    CHECK(complains(R"({"command":""})", "\"command\" is missing"));
    CHECK(complains(R"({"command":1})", "\"command\" must be a string"));
    CHECK(complains(R"({"command":"Stop"})", "unknown command \"Stop\""));
    CHECK(complains(R"({"command":"status","format":"xml"})", "unknown format \"xml\""));
    CHECK(complains(R"({"command":"status","format":7})", "\"format\" must be a string"));
    CHECK(complains(R"({"command":"stop","format":"json"})", "has no \"format\""));
    CHECK(complains(R"({"command":"stop","progress":"yes"})", "\"progress\" must be true or false"));
    CHECK(complains("{\"command\":\"\xff\"}", "not JSON"));
}

TEST_CASE("what is absurd is refused, too, and the reason stays short") {
    CHECK(complains(std::string(60'000, '['), "not JSON"));
    CHECK(complains(std::string(30'000, '[') + std::string(30'000, ']'), "not a JSON object"));
    CHECK(error_of("{\"command\":\"" + std::string(60'000, 'a') + "\"}").size() < 200);
    std::string nested = "{\"command\":\"stop\",\"x\":";
    nested += std::string(20'000, '[') + std::string(20'000, ']') + "}";
    CHECK(error_of(nested).empty());
}

TEST_CASE("a request that was written reads back") {
    const ControlRequest request{.command = "status", .format = "json", .progress = true};
    const std::string line = control_request_line(request);
    CHECK(line == "{\"command\":\"status\",\"format\":\"json\",\"progress\":true}\n");
    const ParsedControlRequest parsed = parse_control_request(line);
    CHECK(parsed.error == "");
    CHECK(parsed.request.command == "status");
    CHECK(parsed.request.format == "json");
    CHECK(parsed.request.progress);
    CHECK(control_request_line({.command = "stop", .format = {}}) == "{\"command\":\"stop\"}\n");
}

TEST_CASE("a reply that was written reads back, whatever the text") {
    const std::string text("a\nb\"\\\x01 \xc3\xa9", 9);
    const ControlReply done = parse_control_reply(control_reply_line(true, text));
    CHECK(done.kind == Kind::done);
    CHECK(done.text == text);
    const ControlReply refused = parse_control_reply(control_reply_line(false, "no"));
    CHECK(refused.kind == Kind::refused);
    CHECK(refused.text == "no");
    const ControlReply progress = parse_control_reply(control_progress_line("half"));
    CHECK(progress.kind == Kind::progress);
    CHECK(progress.text == "half");
    CHECK(parse_control_reply(control_reply_line(true, "\xff")).text == "\xef\xbf\xbd");
    // A line is a line.
    CHECK(control_reply_line(true, text).find('\n') == control_reply_line(true, text).size() - 1);
}

TEST_CASE("what is no reply is garbage") {
    for (const char* line :
         {"", "x", "[]", "{}", "{\"ok\":1}", "{\"ok\":true,\"text\":1}", "{\"progress\":1}"}) {
        CAPTURE(line);
        const ControlReply reply = parse_control_reply(line);
        CHECK(reply.kind == Kind::garbage);
        CHECK_FALSE(reply.text.empty());
    }
}
