#include "master/control/control_message.h"

#include "conf/settings.h"
#include "core/base/json_writer.h"
#include "master/control/counters_text.h"

#include <algorithm>
#include <array>
#include <exception>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace drover {

namespace {

using Json = nlohmann::json;

constexpr std::array<std::string_view, 11> commands = {"reload",   "stop",         "quit",    "reopen",
                                                       "status",   "config",       "workers", "restart",
                                                       "counters", "counter_rows", "events"};
constexpr std::array<std::string_view, 6> commands_that_change = {"reload", "stop",    "quit",
                                                                  "reopen", "workers", "restart"};
constexpr std::array<std::string_view, 3> commands_with_format = {"status", "config", "events"};

// Long enough to recognise a typing error, short enough to send back.
std::string excerpt(std::string_view text) {
    constexpr std::size_t longest = 40;
    return text.size() <= longest ? std::string(text) : fmt::format("{}...", text.substr(0, longest));
}

// The member `name` as a Value, `otherwise` when there is none. Throws what the caller is told.
template <class Value>
Value read_member(const Json& object, const char* name, const char* type, Value otherwise) {
    const auto found = object.find(name);
    if (found == object.end()) return otherwise;
    const auto* value = found->get_ptr<const Value*>();
    if (value == nullptr) throw std::runtime_error(fmt::format("\"{}\" must be {}", name, type));
    return *value;
}

Json parse_object(std::string_view line) {
    Json object = Json::parse(line.begin(), line.end(), nullptr, false);
    if (object.is_discarded()) throw std::runtime_error("the line is not JSON");
    if (!object.is_object()) throw std::runtime_error("the line is not a JSON object");
    return object;
}

unsigned read_number(const Json& object, const char* name, unsigned least, unsigned most) {
    const auto found = object.find(name);
    const bool fits = found != object.end() && found->is_number_unsigned() &&
                      found->get<std::uint64_t>() >= least && found->get<std::uint64_t>() <= most;
    if (!fits)
        throw std::runtime_error(fmt::format("\"{}\" must be a number from {} to {}", name, least, most));
    return found->get<unsigned>();
}

void read_pool_members(const Json& object, ControlRequest& request) {
    request.pool = read_member<std::string>(object, "pool", "a string", "");
    if (request.pool.size() > 63) throw std::runtime_error("\"pool\" is longer than a pool's name");
    if (request.command == "workers") request.count = read_number(object, "count", 1, max_workers);
    if (request.command == "restart") request.slot = read_number(object, "slot", 0, max_workers - 1);
}

ControlRequest to_request(const Json& object) {
    ControlRequest request;
    request.command = read_member<std::string>(object, "command", "a string", "");
    if (request.command.empty()) throw std::runtime_error("\"command\" is missing");
    if (std::ranges::find(commands, request.command) == commands.end()) {
        throw std::runtime_error(fmt::format("unknown command \"{}\"; commands are {}",
                                             excerpt(request.command), fmt::join(commands, ", ")));
    }
    request.format = read_member<std::string>(object, "format", "a string", "");
    request.fresh = read_member<bool>(object, "fresh", "true or false", false);
    request.probation = read_member<bool>(object, "probation", "true or false", false);
    read_pool_members(object, request);
    if (request.format == "text") request.format.clear();
    const bool has_format =
        std::ranges::find(commands_with_format, request.command) != commands_with_format.end();
    if (!request.format.empty() && !has_format) {
        throw std::runtime_error(fmt::format("{} has no \"format\"", request.command));
    }
    if (!request.format.empty() && request.format != "json") {
        throw std::runtime_error(
            fmt::format("unknown format \"{}\"; formats are text, json", excerpt(request.format)));
    }
    if (object.contains("counters")) {
        request.counters = read_member<std::string>(object, "counters", "a string", "");
        if (request.command != "status") throw std::runtime_error("\"counters\" is for status alone");
        if (request.counters->size() > longest_counter_pattern)
            throw std::runtime_error("the pattern of \"counters\" is too long");
    }
    request.follow = read_member<bool>(object, "follow", "true or false", false);
    if (object.contains("last")) request.last = read_number(object, "last", 0, most_events);
    request.after = read_member<std::uint64_t>(object, "after", "a number from 0", 0);
    request.progress = read_member<bool>(object, "progress", "true or false", false);
    return request;
}

}  // namespace

ParsedControlRequest parse_control_request(std::string_view line) noexcept {
    ParsedControlRequest parsed;
    try {
        parsed.request = to_request(parse_object(line));
    } catch (const std::exception& failure) {
        parsed.error = failure.what();
    }
    return parsed;
}

bool changes_something(const ControlRequest& request) noexcept {
    return std::ranges::find(commands_that_change, request.command) != commands_that_change.end();
}

ControlReply parse_control_reply(std::string_view line) noexcept {
    ControlReply reply;
    try {
        const Json object = parse_object(line);
        for (const auto& [name, kind] : {std::pair("progress", ControlReply::Kind::progress),
                                         std::pair("event", ControlReply::Kind::event)}) {
            if (!object.contains(name)) continue;
            reply.text = read_member<std::string>(object, name, "a string", "");
            reply.kind = kind;
            return reply;
        }
        if (!object.contains("ok")) throw std::runtime_error("\"ok\" is missing");
        const bool ok = read_member<bool>(object, "ok", "true or false", false);
        reply.text = read_member<std::string>(object, ok ? "text" : "error", "a string", "");
        reply.kind = ok ? ControlReply::Kind::done : ControlReply::Kind::refused;
    } catch (const std::exception& failure) {
        reply.text = failure.what();
    }
    return reply;
}

std::string control_request_line(const ControlRequest& request) {
    JsonWriter json;
    json.begin_object();
    json.member("command", request.command);
    if (!request.format.empty()) json.member("format", request.format);
    if (request.fresh) json.member("fresh", true);
    if (request.probation) json.member("probation", true);
    if (!request.pool.empty()) json.member("pool", request.pool);
    if (request.command == "workers") json.member("count", request.count);
    if (request.command == "restart") json.member("slot", request.slot);
    if (request.follow) json.member("follow", true);
    if (request.last) json.member("last", *request.last);
    if (request.after != 0) json.member("after", request.after);
    if (request.counters) json.member("counters", *request.counters);
    if (request.progress) json.member("progress", true);
    json.end_object();
    return json.take() + '\n';
}

std::string control_progress_line(std::string_view text) {
    JsonWriter json;
    json.begin_object();
    json.member("progress", text);
    json.end_object();
    return json.take() + '\n';
}

std::string control_event_line(std::string_view text) {
    JsonWriter json;
    json.begin_object();
    json.member("event", text);
    json.end_object();
    return json.take() + '\n';
}

std::string control_reply_line(bool ok, std::string_view text_or_error) {
    JsonWriter json;
    json.begin_object();
    json.member("ok", ok);
    json.member(ok ? "text" : "error", text_or_error);
    json.end_object();
    return json.take() + '\n';
}

}  // namespace drover
