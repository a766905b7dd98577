// ListenerNames are the listeners of a worker's pool by number and name, and those that hot reloads took
// away. Numbers are one worker's, one generation's; names are what workers tell each other in a hand-over.
// Decides without a socket where a listener stands in the next generation. Owned by Intake. Runs in: worker.
#pragma once

#include "conf/settings.h"
#include "worker/handover/handover_format.h"

#include <string>
#include <string_view>
#include <vector>

#include <sys/socket.h>

namespace drover {

class Module;
class ModuleHost;

struct NamedListener {
    std::string name;  // "127.0.0.1:80 http"; of a udp listener, whose clients do not move, the address
    Module* module = nullptr;       // that its clients get
    int family = AF_UNSPEC;         // of its sockets
    bool chosen_by_kernel = false;  // port 0
};

class ListenerNames {
  public:
    // The number of a connection whose listener is gone and has no number among the gone ones.
    static constexpr unsigned no_listener = 0xffff;

    // Throws std::runtime_error when a listener's module is missing, or does not take what comes there: the
    // configuration was checked, but an image is not trusted.
    static std::vector<NamedListener> list(const std::vector<ListenSettings>& listen,
                                           const ModuleHost& modules);

    std::size_t size() const noexcept { return listeners_.size(); }
    const std::vector<NamedListener>& all() const noexcept { return listeners_; }
    const NamedListener& operator[](unsigned listener) const noexcept { return listeners_[listener]; }
    // Null when there is none of that name.
    const NamedListener* find(std::string_view name) const noexcept;

    // Those that are gone, in the order of their numbers from first_gone_listener on.
    const std::vector<std::string>& gone() const noexcept { return gone_; }
    std::string_view gone_name(unsigned listener) const noexcept {
        return gone_[listener - first_gone_listener];
    }
    // The same number for the same name; no_listener when all are given away: the connection cannot move
    // again.
    unsigned gone_number(std::string_view name);

    // By number: where each listener stands in `next`; no_listener for those that go. Port 0 is another port
    // wherever it stands.
    std::vector<unsigned> find_again(const std::vector<NamedListener>& next) const;
    // `next` are the listeners from now on. Returns what find_again() said of them, with gone numbers for
    // those that went.
    std::vector<unsigned> replace(std::vector<NamedListener> next);

  private:
    std::vector<NamedListener> listeners_;
    std::vector<std::string> gone_;
};

}  // namespace drover
