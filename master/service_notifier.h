// Tells systemd (or whoever set NOTIFY_SOCKET) what the master does: sd_notify(3) by hand. Nothing happens
// without the variable; a failure to send is nobody's error. Removes NOTIFY_SOCKET, WATCHDOG_USEC and
// WATCHDOG_PID from the environment. Runs in: the master.
#pragma once

#include "core/base/unique_fd.h"
#include "core/net/address.h"

#include <chrono>
#include <string_view>

namespace drover {

class ServiceNotifier {
  public:
    ServiceNotifier();  // reads the environment

    bool enabled() const noexcept { return static_cast<bool>(socket_); }
    // How often watchdog() is due: half of WATCHDOG_USEC; 0 when systemd watches nobody or another pid.
    std::chrono::milliseconds watchdog_interval() const noexcept { return watchdog_interval_; }

    void ready(
        std::string_view status) const noexcept;  // READY=1, MAINPID, STATUS; the pid file must be there
    void reloading() const noexcept;              // RELOADING=1 with MONOTONIC_USEC, in one message
    void stopping() const noexcept;               // STOPPING=1
    void status(std::string_view text) const noexcept;  // STATUS=
    void watchdog() const noexcept;                     // WATCHDOG=1

    static constexpr std::size_t max_status = 1024;  // longer texts are cut; control characters become spaces

  private:
    void send(std::string_view message) const noexcept;

    UniqueFd socket_;
    Address address_;  // path or abstract
    std::chrono::milliseconds watchdog_interval_{0};
};

}  // namespace drover
