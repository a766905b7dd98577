#include "master/control/event_desk.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace drover {

namespace {

// So much is sent at a time; a reader gets no more before it has left.
constexpr std::size_t portion = std::size_t{16} * 1024;

std::string missed_text(std::uint64_t count, bool json) {
    if (json) return fmt::format(R"({{"missed":{}}})", count);
    return fmt::format("{} {} missed", count, count == 1 ? "event was" : "events were");
}

}  // namespace

EventDesk::EventDesk(EventLoop& loop, EventLog& events, ControlServer& server)
    : events_(events),
      server_(server),
      timer_(loop, Timer::Handler::to<&EventDesk::serve_all>(this)),
      subscription_(events, EventSubscription::Handler::to<&EventDesk::on_event>(this)) {
    server_.set_room_handler(ControlServer::RoomHandler::to<&EventDesk::on_room>(this));
}

void EventDesk::ask(ControlCaller caller, const ControlRequest& request) {
    drop_done();
    if (request.follow && count(true) >= max_followers)
        return server_.reply(caller, false, "too many follow the events already");
    const std::uint64_t wanted = std::min<std::uint64_t>(request.last.value_or(~0U), events_.kept());
    Reader reader{.caller = caller,
                  .last = events_.last_number() - wanted,
                  .json = request.format == "json",
                  .follow = request.follow && !closed_};
    serve(reader);
    if (reader.done) return;
    if (closed_) return give_up(reader);
    if (!reader.follow) make_place();
    readers_.push_back(reader);
}

std::size_t EventDesk::count(bool follow) const noexcept {
    return static_cast<std::size_t>(std::ranges::count(readers_, follow, &Reader::follow));
}

void EventDesk::make_place() {
    if (count(false) < max_unread) return;
    give_up(*std::ranges::find(readers_, false, &Reader::follow));
    drop_done();
}

void EventDesk::close_all() {
    timer_.stop();
    closed_ = true;
    for (Reader& reader : std::exchange(readers_, {})) {
        reader.follow = false;
        serve(reader);
        if (!reader.done) give_up(reader);
    }
}

void EventDesk::give_up(Reader& reader) {
    server_.reply(reader.caller, false, "not all events could be sent");
    reader.done = true;
}

void EventDesk::on_event() {
    if (!readers_.empty() && !timer_.started()) timer_.start_once(std::chrono::milliseconds(0));
}

void EventDesk::on_room(ControlCaller caller) {
    const auto reader = std::ranges::find(readers_, caller, &Reader::caller);
    if (reader == readers_.end()) return;
    serve(*reader);
    drop_done();
}

void EventDesk::serve_all() {
    for (Reader& reader : readers_)
        serve(reader);
    drop_done();
}

void EventDesk::drop_done() {
    std::erase_if(readers_,
                  [this](const Reader& reader) { return reader.done || !server_.knows(reader.caller); });
}

void EventDesk::serve(Reader& reader) {
    while (!reader.done && server_.wants_more(reader.caller)) {
        const std::string lines = next_lines(reader);
        if (!lines.empty()) {
            server_.send_lines(reader.caller, lines);
        } else if (reader.follow) {
            return;
        } else {
            server_.reply(reader.caller, true, "");
            reader.done = true;
        }
    }
}

std::string EventDesk::next_lines(Reader& reader) const {
    std::string lines;
    for (const Event* event = nullptr;
         lines.size() < portion && (event = events_.next_after(reader.last)) != nullptr;) {
        if (const std::uint64_t missed = event->number - reader.last - 1; missed > 0)
            lines += control_event_line(missed_text(missed, reader.json));
        lines += control_event_line(reader.json ? event_json(*event) : event_text(*event));
        reader.last = event->number;
    }
    return lines;
}

}  // namespace drover
