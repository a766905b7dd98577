// LiveFeed is what /live sends: server-sent events (HTML, 9.2) to a bounded number of dashboards. Once a
// second each gets the same message; what happens comes as it happens, numbered, so that a dashboard that
// comes back misses nothing that is still kept. To one that does not read nothing is sent until it has read:
// messages are left out, events wait here. Owned by the module. Runs in: worker.
#pragma once

#include "modules/http/response.h"
#include "modules/observer/live_message.h"
#include "modules/observer/page.h"
#include "worker/module/master_view.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <string>

namespace drover::observer {

class LiveFeed {
  public:
    static constexpr std::size_t most_events = 200;  // kept here
    static constexpr std::chrono::milliseconds interval{1000};

    // services.master is not null; asks it for its events.
    LiveFeed(Services& services, std::size_t max_clients);

    // Clients that have left take no room.
    bool full() const noexcept;
    // Not when full. `last_event`: the id of the last one that the dashboard has; empty: none.
    void add(http::Response response, std::string_view last_event);
    // All dashboards are told to come again, to whoever serves then.
    void end();

  private:
    struct Client {
        http::Response response;
        std::uint64_t last_event;
    };
    struct KeptEvent {
        std::uint64_t number;
        std::string text;  // as it is sent
    };

    void on_tick();
    void on_event(const MasterView::Event& event);
    void publish(bool answers);
    void send_events(Client& client) const;
    std::uint64_t number_in(std::string_view id) const noexcept;
    void drop_gone();
    static void end(std::list<Client> clients);

    Services& services_;
    std::size_t max_clients_;
    std::string id_prefix_;  // of events: when their master started, as another one numbers anew
    LiveMessage message_;
    std::string last_message_;  // as it is sent; empty: none yet
    std::list<Client> clients_;
    std::deque<KeptEvent> events_;
    bool ended_ = false;
    Timer timer_;
};

// /live
class LivePage final : public Page {
  public:
    LivePage(std::string_view path, const HostRule& hosts, LiveFeed& feed) : Page(path, hosts), feed_(feed) {}

  private:
    void answer(const http::Request& request, http::Response response) override;

    LiveFeed& feed_;
};

}  // namespace drover::observer
