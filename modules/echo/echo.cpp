#include "modules/echo/echo.h"

#include "core/counters/counter_row.h"
#include "worker/datagram/datagram.h"
#include "worker/module/services.h"
#include "worker/stream/connection.h"

namespace drover {

namespace {

class EchoConnection final : public Connection {
  public:
    EchoConnection(Services& services, Accepted accepted, Counter bytes,
                   std::chrono::milliseconds idle_timeout)
        : Connection(services, std::move(accepted)), bytes_(bytes), idle_timeout_(idle_timeout) {
        set_time_limit(idle_timeout_);
    }

  private:
    std::size_t on_input(std::string_view input) override {
        write(input);
        bytes_.add(input.size());
        set_time_limit(idle_timeout_);
        return input.size();
    }

    Movable on_hand_over(std::string&) override { return Movable::now; }

    Counter bytes_;
    std::chrono::milliseconds idle_timeout_;
};

}  // namespace

const Options<EchoOptions>& EchoOptions::options() {
    static const auto table =
        Options<EchoOptions>("Sends back what it receives.")
            .duration("idle_timeout", &EchoOptions::idle_timeout_ms, {.fallback = 60'000, .min = 100},
                      Apply::hot, "A connection on which nothing comes for this long is closed.");
    return table;
}

std::vector<CounterDeclaration> EchoModule::counters() const {
    return {{.name = "drover_echo_bytes_total", .unit = "bytes", .help = "Bytes that echo sent back."}};
}

void EchoModule::start(Services& services, const ImageNode& options) {
    services_ = &services;
    options_ = EchoOptions::options().load(options);
    bytes_ = services.counters.counter("drover_echo_bytes_total");
}

void EchoModule::connection(Accepted accepted) {
    open_connection<EchoConnection>(*services_, std::move(accepted), bytes_,
                                    std::chrono::milliseconds(options_.idle_timeout_ms));
}

void EchoModule::datagram(const Datagram& datagram) {
    if (datagram.reply(datagram.payload())) bytes_.add(datagram.payload().size());
}

void EchoModule::prepare(const std::shared_ptr<const Configuration>&, const ImageNode& options) {
    next_options_ = EchoOptions::options().load(options);
}

void EchoModule::adopt(Accepted accepted, std::string_view) {
    connection(std::move(accepted));
}

}  // namespace drover
