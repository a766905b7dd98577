#include "master/observation_desk.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string_view>

namespace drover {

ObservationDesk::ObservationDesk(EventLoop& loop, EventLog& events, Publish publish)
    : events_(events),
      publish_(publish),
      timer_(loop, Timer::Handler::to<&ObservationDesk::tell_all>(this)),
      subscription_(events, EventSubscription::Handler::to<&ObservationDesk::on_event>(this)) {}

void ObservationDesk::answer_status(Channel& channel, const QuestionMessage& question) {
    publish_();
    channel.send(MessageType::status_published, question);
}

// One that asks twice has one question, the later one.
void ObservationDesk::answer_events(Channel& channel, const QuestionMessage& question) {
    forget(channel);
    waiting_.push_back({&channel, question.number});
    if (question.number < events_.last_number()) on_event();
}

void ObservationDesk::forget(const Channel& channel) {
    std::erase_if(waiting_, [&channel](const Waiting& waiting) { return waiting.channel == &channel; });
}

// All that happens in one turn of the loop goes together.
void ObservationDesk::on_event() {
    if (!waiting_.empty() && !timer_.started()) timer_.start_once(std::chrono::milliseconds(0));
}

void ObservationDesk::tell_all() {
    std::erase_if(waiting_, [this](const Waiting& waiting) { return tell(waiting); });
}

// As many as fit into a message, without a gap between them; false: there is none yet.
bool ObservationDesk::tell(const Waiting& waiting) {
    EventsMessage head{waiting.known};
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
