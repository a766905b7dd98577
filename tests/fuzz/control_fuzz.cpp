// Feeds bytes from outside to what parses the control socket's lines, on either side.

#include "core/base/check.h"
#include "master/control/control_message.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view line(reinterpret_cast<const char*>(data), size);
    const drover::ParsedControlRequest parsed = drover::parse_control_request(line);
    if (parsed.error.empty()) {
        // What was understood is understood again.
        const auto again = drover::parse_control_request(drover::control_request_line(parsed.request));
        DROVER_CHECK(again.error.empty());
        DROVER_CHECK(again.request.command == parsed.request.command);
        DROVER_CHECK(again.request.format == parsed.request.format);
        DROVER_CHECK(again.request.progress == parsed.request.progress);
    }
    const drover::ControlReply reply = drover::parse_control_reply(line);
    DROVER_CHECK(!reply.text.empty() || reply.kind != drover::ControlReply::Kind::garbage);
    const std::string answer = drover::control_reply_line(false, line);
    DROVER_CHECK(drover::parse_control_reply(answer).kind == drover::ControlReply::Kind::refused);
    return 0;
}
