#include "tests/hostile/hostile_module.h"

#include "core/protocol/message.h"
#include "core/protocol/packet.h"
#include "tests/hostile/memory_attacks.h"
#include "worker/stream/connection.h"

#include <cstdint>
#include <span>
#include <string>

namespace drover::hostile {

namespace {

// Says that it has taken log files that nobody has sent yet.
void lie_about_log_files() {
    const MessageHeader header{.type = static_cast<std::uint16_t>(MessageType::log_files_taken),
                               .payload_size = sizeof(QuestionMessage)};
    const QuestionMessage lie{UINT64_MAX};
    for (int socket = 3; socket < 64; ++socket)
        send_packet(socket, std::as_bytes(std::span(&header, 1)), std::as_bytes(std::span(&lie, 1)), {});
}

// "walls", "scribble", "leave FILE", "log files".
std::string attack(std::string_view what) {
    if (what == "walls") return climb_walls();
    if (what == "scribble") scribble();
    if (what == "log files") lie_about_log_files();
    if (what.starts_with("leave ")) leave_scribbler(std::string(what.substr(6)));
    return {};
}

class HostileConnection final : public Connection {
  public:
    HostileConnection(Services& services, Accepted accepted) : Connection(services, std::move(accepted)) {}

  private:
    std::size_t on_input(std::string_view input) override {
        const std::size_t end = input.find('\n');
        if (end == std::string_view::npos) return 0;
        write(attack(input.substr(0, end)) + "done\n");
        return end + 1;
    }
    void on_drain() override { close(); }
};

}  // namespace

const Options<HostileOptions>& HostileOptions::options() {
    static const auto table = Options<HostileOptions>("Attacks the other processes.")
                                  .text("in_start", &HostileOptions::in_start, {}, Apply::fresh,
                                        "Attacks of a worker that starts, with a semicolon between them.");
    return table;
}

void HostileModule::start(Services& services, const ImageNode& options) {
    services_ = &services;
    std::string_view attacks = HostileOptions::options().load(options).in_start;
    while (!attacks.empty()) {
        const std::size_t end = attacks.find(';');
        attack(attacks.substr(0, end));
        attacks.remove_prefix(end == std::string_view::npos ? attacks.size() : end + 1);
    }
}

void HostileModule::connection(Accepted accepted) {
    open_connection<HostileConnection>(*services_, std::move(accepted));
}

}  // namespace drover::hostile
