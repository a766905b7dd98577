#include "master/event_desk.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace drover {

namespace {

// What is sent at a time; a reader gets no more before it has left.
constexpr std::size_t portion = std::size_t{16} * 1024;

std::string missed_text(std::uint64_t count, bool json) {
    if (json) return fmt::format(R"({{"missed":{}}})", count);
    return fmt::format("{} {} missed", count, count == 1 ? "event was" : "events were");
}

}  // namespace

EventDesk::EventDesk(EventLoop& loop, EventLog& events)
    : events_(events),
      timer_(loop, Timer::Handler::to<&EventDesk::serve_all>(this)),
      subscription_(events, EventSubscription::Handler::to<&EventDesk::on_event>(this)) {}

void EventDesk::set_server(ControlServer* server) {
    server_ = server;
    server_->set_room_handler(ControlServer::RoomHandler::to<&EventDesk::on_room>(this));
}

void EventDesk::ask(ControlCaller caller, const ControlRequest& request) {
    std::erase_if(readers_, [this](const Reader& reader) { return !server_->knows(reader.caller); });
    if (readers_.size() >= max_readers)
        return server_->reply(caller, false, "too many follow the events already");
    const std::uint64_t wanted = std::min<std::uint64_t>(request.last.value_or(~0U), events_.kept());
    Reader reader{.caller = caller,
                  .last = events_.last_number() - wanted,
                  .json = request.format == "json",
                  .follow = request.follow};
    if (!serve(reader)) readers_.push_back(reader);
}

void EventDesk::close_all() {
    timer_.stop();
    for (Reader& reader : std::exchange(readers_, {})) {
        reader.follow = false;
        if (!serve(reader)) server_->reply(reader.caller, false, "not all events could be sent");
    }
}

void EventDesk::on_event() {
    if (!readers_.empty() && !timer_.started()) timer_.start_once(std::chrono::milliseconds(0));
}

void EventDesk::on_room(ControlCaller caller) {
    std::erase_if(readers_, [&](Reader& reader) { return reader.caller == caller && serve(reader); });
}

void EventDesk::serve_all() {
    std::erase_if(readers_, [this](Reader& reader) { return serve(reader); });
}

bool EventDesk::serve(Reader& reader) {
    while (server_->wants_more(reader.caller)) {
        const std::string lines = next_lines(reader);
        if (!lines.empty()) {
            server_->send_lines(reader.caller, lines);
        } else if (reader.follow) {
            return false;
        } else {
            server_->reply(reader.caller, true, "");
            return true;
        }
    }
    return !server_->knows(reader.caller);
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
