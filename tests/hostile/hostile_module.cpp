#include "tests/hostile/hostile_module.h"

#include "tests/hostile/memory_attacks.h"
#include "worker/connection.h"

#include <string>

namespace drover::hostile {

namespace {

// "walls", "scribble", "leave FILE".
std::string attack(std::string_view what) {
    if (what == "walls") return climb_walls();
    if (what == "scribble") scribble();
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
