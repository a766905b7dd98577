#include "modules/observer/live_feed.h"

#include "worker/module/configuration.h"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <iterator>
#include <utility>

#include <fmt/format.h>

namespace drover::observer {

namespace {

std::int64_t unix_ms() noexcept {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

}  // namespace

LiveFeed::LiveFeed(Services& services, std::size_t max_clients)
    : services_(services),
      max_clients_(max_clients),
      id_prefix_(fmt::format("{}-", services.master->counters().status_snapshot().master.started_unix_s)),
      message_(services.master->counters(), services.configuration->pool().name),
      timer_(services.loop, Timer::Handler::to<&LiveFeed::on_tick>(this)) {
    services.master->on_event([this](const MasterView::Event& event) { on_event(event); });
}

bool LiveFeed::full() const noexcept {
    const auto there =
        std::ranges::count_if(clients_, [](const Client& client) { return !client.response.client_gone(); });
    return static_cast<std::size_t>(there) >= max_clients_;
}

// Of an id that another master's events have there is nothing here.
std::uint64_t LiveFeed::number_in(std::string_view id) const noexcept {
    std::uint64_t number = 0;
    if (!id.starts_with(id_prefix_)) return 0;
    id.remove_prefix(id_prefix_.size());
    std::from_chars(id.data(), id.data() + id.size(), number);
    return number;
}

void LiveFeed::add(http::Response response, std::string_view last_event) {
    add_headers(response).type("text/event-stream").begin();
    response.write("retry: 1000\n\n");
    if (ended_) return response.end();
    clients_.push_back({std::move(response), number_in(last_event)});
    send_events(clients_.back());
    if (!timer_.started()) {
        timer_.start_every(interval);
        on_tick();
    } else if (!last_message_.empty()) {
        clients_.back().response.write(last_message_);
    }
}

void LiveFeed::end() {
    ended_ = true;
    timer_.stop();
    end(std::exchange(clients_, {}));
}

// The end of a response delivers what its client has pipelined behind: another request for /live, say, which
// changes the list of clients. None that is in it may be ended.
void LiveFeed::end(std::list<Client> clients) {
    for (Client& client : clients)
        client.response.end();
}

void LiveFeed::on_tick() {
    drop_gone();
    if (clients_.empty()) {
        message_.forget();
        last_message_.clear();
        return timer_.stop();
    }
    services_.master->ask_status([this](bool answered) { publish(answered); });
}

// A table that would not stand still has nothing to say this time.
void LiveFeed::publish(bool answers) {
    try {
        last_message_ = "data: " + message_.make({services_.loop.now_ms(), unix_ms(), answers}) + "\n\n";
    } catch (const std::exception&) {
        return;
    }
    for (Client& client : clients_) {
        send_events(client);
        if (client.response.writable()) client.response.write(last_message_);
    }
}

void LiveFeed::on_event(const MasterView::Event& event) {
    events_.push_back({event.number, fmt::format("event: event\nid: {}{}\ndata: {}\n\n", id_prefix_,
                                                 event.number, event.json)});
    if (events_.size() > most_events) events_.pop_front();
    for (Client& client : clients_)
        send_events(client);
}

void LiveFeed::send_events(Client& client) const {
    auto next = std::ranges::upper_bound(events_, client.last_event, {}, &KeptEvent::number);
    for (; next != events_.end() && client.response.writable(); ++next) {
        client.response.write(next->text);
        client.last_event = next->number;
    }
}

void LiveFeed::drop_gone() {
    std::list<Client> gone;
    for (auto client = clients_.begin(); client != clients_.end();) {
        const auto next = std::next(client);
        if (client->response.client_gone()) gone.splice(gone.end(), clients_, client);
        client = next;
    }
    end(std::move(gone));
}

void LivePage::answer(const http::Request& request, http::Response response) {
    if (request.is_head()) return send(response, 200, "text/event-stream", {});
    if (feed_.full()) {
        response.header("Retry-After", "5");
        return send(response, 503, "text/plain", "as many dashboards are open as max_live allows\n");
    }
    feed_.add(std::move(response), request.header("last-event-id"));
}

}  // namespace drover::observer
