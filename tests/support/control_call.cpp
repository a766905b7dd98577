#include "tests/support/control_call.h"

#include <nlohmann/json.hpp>

namespace drover::test {

using nlohmann::json;

std::string control_request(const std::string& command, const std::string& format) {
    json request{{"command", command}};
    if (!format.empty()) request["format"] = format;
    return request.dump() + "\n";
}

ControlCall::ControlCall(const std::string& socket_path, const std::string& command,
                         const std::string& format)
    : ControlCall(with_line(socket_path, control_request(command, format))) {}

ControlCall ControlCall::with_line(const std::string& socket_path, const std::string& line) {
    ControlCall call(socket_path);
    call.stream_.send(line);
    return call;
}

ControlReply ControlCall::wait() {
    const json reply = json::parse(stream_.read_until("\n", Deadline(std::chrono::seconds(30))));
    const bool ok = reply.at("ok").get<bool>();
    stream_.finish_sending();
    stream_.ended();
    return {ok, reply.value(ok ? "text" : "error", std::string())};
}

void make_events(const std::string& socket_path, std::size_t count) {
    StreamClient caller = StreamClient::connect_unix(socket_path);
    for (std::size_t i = 0; i < count; ++i) {
        caller.send("{\"command\":\"workers\",\"count\":2}\n");
        const std::string reply = caller.read_until("\n");
        if (!reply.starts_with("{\"ok\":true")) throw std::runtime_error(reply);
    }
}

}  // namespace drover::test
