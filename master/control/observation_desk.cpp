#include "master/control/observation_desk.h"

#include "core/memory/shared_memory.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <string_view>
#include <utility>

namespace drover {

namespace {

using Clock = std::chrono::steady_clock;

// Of the master's time texts take one part in so many; after a failure there is a pause.
constexpr int text_share = 5;
constexpr std::chrono::milliseconds most_pause{250};
constexpr std::chrono::milliseconds pause_after_failure{100};

}  // namespace

ObservationDesk::ObservationDesk(EventLoop& loop, EventLog& events, Publish publish, Describe describe)
    : events_(events),
      publish_(publish),
      describe_(describe),
      timer_(loop, Timer::Handler::to<&ObservationDesk::answer_all>(this)),
      text_timer_(loop, Timer::Handler::to<&ObservationDesk::send_texts>(this)),
      subscription_(events, EventSubscription::Handler::to<&ObservationDesk::on_event>(this)) {}

void ObservationDesk::answer_status(Channel& channel, const QuestionMessage& question, StatusAnswer answer) {
    std::vector<Waiting>& waiting = answer == StatusAnswer::page ? for_status_ : for_text_;
    forget(channel, waiting);
    waiting.push_back({&channel, question.number});
    if (answer == StatusAnswer::page) return answer_soon();
    if (text_timer_.started()) return;
    const auto wait = std::chrono::ceil<std::chrono::milliseconds>(next_text_ - Clock::now());
    text_timer_.start_once(std::max(wait, std::chrono::milliseconds(0)));
}

void ObservationDesk::send_texts() {
    if (for_text_.empty()) return;
    const Clock::time_point start = Clock::now();
    try {
        const UniqueFd text = describe();
        std::erase_if(for_text_, [&text](const Waiting& waiting) {
            const QuestionMessage answer{waiting.number};
            const bool sent = waiting.channel->send(MessageType::status_text, answer, std::array{text.get()});
            return sent || waiting.channel->closing();
        });
    } catch (const std::exception&) {
        // No descriptor, no memory.
    }
    // Those that wait may have given up by then, and know it.
    if (!for_text_.empty()) text_timer_.start_once(pause_after_failure);
    const Clock::time_point end = Clock::now();
    // A master that stood still meanwhile has not worked for so long.
    next_text_ = end + std::min<Clock::duration>((text_share - 1) * (end - start), most_pause);
}

// Sealed: what is sent to several is nobody's to change.
UniqueFd ObservationDesk::describe() {
    publish_();
    const std::string text = describe_();
    UniqueFd fd = create_memfd("drover-status", text.size(), true);
    std::memcpy(map_shared_writable(fd.get(), 0, text.size()).data(), text.data(), text.size());
    seal_memory(fd.get());
    return fd;
}

void ObservationDesk::answer_events(Channel& channel, const QuestionMessage& question) {
    forget(channel, for_events_);
    for_events_.push_back({&channel, question.number});
    if (question.number < events_.last_number()) answer_soon();
}

void ObservationDesk::forget(const Channel& channel) {
    forget(channel, for_status_);
    forget(channel, for_text_);
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
