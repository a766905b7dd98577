#include "master/observation_desk.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string_view>
#include <utility>

namespace drover {

ObservationDesk::ObservationDesk(EventLoop& loop, EventLog& events, Publish publish)
    : events_(events),
      publish_(publish),
      timer_(loop, Timer::Handler::to<&ObservationDesk::answer_all>(this)),
      subscription_(events, EventSubscription::Handler::to<&ObservationDesk::on_event>(this)) {}

void ObservationDesk::answer_status(Channel& channel, const QuestionMessage& question) {
    forget(channel, for_status_);
    for_status_.push_back({&channel, question.number});
    answer_soon();
}

void ObservationDesk::answer_events(Channel& channel, const QuestionMessage& question) {
    forget(channel, for_events_);
    for_events_.push_back({&channel, question.number});
    if (question.number < events_.last_number()) answer_soon();
}

void ObservationDesk::forget(const Channel& channel) {
    forget(channel, for_status_);
    forget(channel, for_events_);
}

void ObservationDesk::forget(const Channel& channel, std::vector<Waiting>& waiting) {
    std::erase_if(waiting, [&channel](const Waiting& one) { return one.channel == &channel; });
}

void ObservationDesk::on_event() {
    if (!for_events_.empty()) answer_soon();
}

// All that happens in one turn of the loop goes together.
void ObservationDesk::answer_soon() {
    if (!timer_.started()) timer_.start_once(std::chrono::milliseconds(0));
}

void ObservationDesk::answer_all() {
    if (!for_status_.empty()) confirm_all();
    tell_all();
}

void ObservationDesk::confirm_all() {
    publish_();
    for (const Waiting& waiting : std::exchange(for_status_, {}))
        waiting.channel->send(MessageType::status_published, QuestionMessage{waiting.number});
}

void ObservationDesk::tell_all() {
    std::vector<Waiting> untold;
    for (const Waiting& waiting : std::exchange(for_events_, {})) {
        if (!tell(waiting)) untold.push_back(waiting);
    }
    for_events_.insert(for_events_.end(), untold.begin(), untold.end());
}

// As many as fit into a message, without a gap between them; false: there is none yet.
bool ObservationDesk::tell(const Waiting& waiting) {
    EventsMessage head{waiting.number};
    bytes_.assign(sizeof(head), '\0');
    for (const Event* event = events_.next_after(head.last); event != nullptr;
         event = events_.next_after(head.last)) {
        const bool first = bytes_.size() == sizeof(head);
        const std::string line = event_json(*event) + "\n";
        if (!first && bytes_.size() + line.size() > max_message_payload) break;
        bytes_ += line;
        head.last = event->number;
    }
    if (bytes_.size() == sizeof(head)) return false;
    std::memcpy(bytes_.data(), &head, sizeof(head));
    waiting.channel->send_text(MessageType::events, bytes_);
    return true;
}

}  // namespace drover
