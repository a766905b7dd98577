#include "worker/master_view.h"

#include "core/channel.h"

#include <algorithm>
#include <iterator>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace drover {

MasterView::MasterView(EventLoop& loop, Channel& channel)
    : loop_(loop),
      channel_(&channel),
      patience_timer_(loop, Timer::Handler::to<&MasterView::on_impatient>(this)) {}

// What is under way may have been answered before this was asked: it waits for the next one.
void MasterView::ask_status(StatusHandler done) {
    waiting_.push_back({sent_ + 1, loop_.now_ms(), std::move(done)});
    if (answered_ == sent_ && channel_ != nullptr) send_question();
    wait_on();
}

void MasterView::send_question() {
    ++sent_;
    channel_->send(MessageType::status_wanted, QuestionMessage{sent_});
}

void MasterView::take_status(const Message& message) {
    const std::uint64_t number = message.as<QuestionMessage>().number;
    if (number != sent_ || number == answered_) throw std::runtime_error("an answer to no question");
    answered_ = number;
    answer(true, [number](const Waiting& waiting) { return waiting.question <= number; });
    const auto next = [this](const Waiting& waiting) { return waiting.question > sent_; };
    if (channel_ != nullptr && std::ranges::any_of(waiting_, next)) send_question();
}

void MasterView::on_impatient() {
    const std::int64_t now = loop_.now_ms();
    answer(false, [this, now](const Waiting& waiting) {
        return channel_ == nullptr || now - waiting.asked_ms >= patience.count();
    });
}

void MasterView::answer(bool answered, const std::function<bool(const Waiting&)>& ends) {
    const auto first_done = std::stable_partition(waiting_.begin(), waiting_.end(), std::not_fn(ends));
    const std::vector<Waiting> done(std::make_move_iterator(first_done),
                                    std::make_move_iterator(waiting_.end()));
    waiting_.erase(first_done, waiting_.end());
    for (const Waiting& waiting : done)
        waiting.done(answered);
    wait_on();
}

// The one that has waited longest is the first. Without a channel nobody answers.
void MasterView::wait_on() {
    patience_timer_.stop();
    if (waiting_.empty()) return;
    const std::int64_t waited = loop_.now_ms() - waiting_.front().asked_ms;
    const std::int64_t left = channel_ == nullptr ? 0 : patience.count() - waited;
    patience_timer_.start_once(std::chrono::milliseconds(std::max<std::int64_t>(left, 0)));
}

void MasterView::on_event(EventHandler handler) {
    const bool first = event_handlers_.empty();
    event_handlers_.push_back(std::move(handler));
    if (first) ask_events();
}

void MasterView::ask_events() {
    if (channel_ != nullptr) channel_->send(MessageType::events_wanted, QuestionMessage{last_event_});
}

void MasterView::take_events(const Message& message) {
    const std::uint64_t last = message.as<EventsMessage>().last;
    std::string_view lines = message.text().substr(sizeof(EventsMessage));
    const auto count = static_cast<std::uint64_t>(std::ranges::count(lines, '\n'));
    if (count == 0 || last < count || last <= last_event_)
        throw std::runtime_error("events came out of order");
    for (std::uint64_t number = last - count + 1; number <= last; ++number) {
        const std::size_t end = lines.find('\n');
        const Event event{number, lines.substr(0, end)};
        for (const EventHandler& handler : event_handlers_)
            handler(event);
        lines.remove_prefix(end + 1);
    }
    last_event_ = last;
    ask_events();
}

void MasterView::disconnect() {
    channel_ = nullptr;
    wait_on();
}

}  // namespace drover
