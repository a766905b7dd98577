// echo sends back what it receives: the smallest module, to start one's own from. Runs in: worker.
#pragma once

#include "conf/options/options.h"
#include "core/counters/counter.h"
#include "worker/module/module.h"

namespace drover {

struct EchoOptions {
    std::int64_t idle_timeout_ms = 0;

    static const Options<EchoOptions>& options();
};

class EchoModule final : public Module {
  public:
    std::string_view name() const noexcept override { return "echo"; }
    const OptionTable& options() const override { return EchoOptions::options(); }
    Takes takes() const noexcept override { return {.connections = true, .datagrams = true}; }
    std::vector<CounterDeclaration> counters() const override;
    void start(Services& services, const ImageNode& options) override;
    void connection(Accepted accepted) override;
    void datagram(const Datagram& datagram) override;
    void prepare(const std::shared_ptr<const Configuration>& next, const ImageNode& options) override;
    void commit() noexcept override { options_ = next_options_; }
    void adopt(Accepted accepted, std::string_view state) override;

  private:
    Services* services_ = nullptr;
    EchoOptions options_;
    EchoOptions next_options_;
    Counter bytes_;
};

}  // namespace drover
