// HostileModule is what an attacker would load into a worker: it does its worst to the other processes, and
// says how far it came. Each line of a connection is an attack; the answer is what has worked, then "done".
// Runs in: tests, as a module of drover_trouble.
#pragma once

#include "worker/module/module.h"

#include <string_view>

namespace drover::hostile {

struct HostileOptions {
    std::string_view in_start;

    static const Options<HostileOptions>& options();
};

class HostileModule final : public Module {
  public:
    std::string_view name() const noexcept override { return "hostile"; }
    const OptionTable& options() const override { return HostileOptions::options(); }
    void start(Services& services, const ImageNode& options) override;
    void connection(Accepted accepted) override;

  private:
    Services* services_ = nullptr;
};

}  // namespace drover::hostile
