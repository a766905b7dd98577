#include "worker/module/master_view.h"

#include "core/memory/shared_memory.h"
#include "core/protocol/channel.h"
#include "core/protocol/status_json.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <utility>

namespace drover {

MasterView::MasterView(EventLoop& loop, Channel& channel, std::optional<CounterReader> counters)
    : loop_(loop),
      channel_(&channel),
      counters_(std::move(counters)),
      patience_timer_(loop, Timer::Handler::to<&MasterView::on_impatient>(this)) {}

// The answer under way may be older than this question, which therefore waits for the next answer.
void MasterView::ask_status(StatusHandler done) {
    waiting_.push_back({sent_ + 1, loop_.now_ms(), std::move(done)});
    if (answered_ == sent_ && channel_ != nullptr) send_question();
    wait_on();
}

void MasterView::send_question() {
    ++sent_;
    channel_->send(MessageType::status_wanted, QuestionMessage{sent_});
}

void MasterView::take_status(Message& message) {
    const std::uint64_t number = message.as<QuestionMessage>().number;
    const bool expected = (message.type == MessageType::status_published) == observes();
    if (number != sent_ || number == answered_ || rows_asked_ || !expected)
        throw std::runtime_error("an answer to no question");
    if (observes()) return ask_rows();
    const std::size_t size = file_size(message.fds[0].get());
    const Mapping text = map_private_read_only(message.fds[0].get(), size);
    status_text_.assign(static_cast<const char*>(text.data()), size);
    finish_status();
}

// Rows may come as fast as they are asked for: what has come until now is enough.
void MasterView::ask_rows() {
    constexpr unsigned most_batches = 2048;
    const std::optional<std::uint64_t> after = counters_->rows_wanted();
    const bool progress = after != rows_asked_ && ++batches_ <= most_batches;
    if (!after || !progress || channel_ == nullptr) return finish_status();
    rows_asked_ = after;
    channel_->send(MessageType::counter_rows_wanted, QuestionMessage{*after});
}

void MasterView::take_rows(Message& message) {
    if (!rows_asked_) throw std::runtime_error("rows that were not asked for");
    RowBatch batch{.sequence = message.as<QuestionMessage>().number, .rows = {}};
    const std::span<const std::byte> tickets = message.payload.subspan(sizeof(QuestionMessage));
    if (tickets.size() != message.fds.size() * sizeof(RowTicket))
        throw std::runtime_error("rows came without their descriptors");
    for (std::size_t i = 0; i < message.fds.size(); ++i) {
        RowTicket ticket;
        std::memcpy(&ticket, tickets.data() + i * sizeof ticket, sizeof ticket);
        batch.rows.push_back({ticket, std::move(message.fds[i])});
    }
    try {
        counters_->attach(std::move(batch));
    } catch (const std::system_error&) {  // no memory, or too many mappings
        return finish_status();
    }
    ask_rows();
}

void MasterView::lose_rows() {
    if (rows_asked_) finish_status();
}

void MasterView::finish_status() {
    const std::uint64_t number = sent_;
    answered_ = number;
    rows_asked_.reset();
    batches_ = 0;
    answer(true, [number](const Waiting& waiting) { return waiting.question <= number; });
    const auto next = [this](const Waiting& waiting) { return waiting.question > sent_; };
    if (channel_ != nullptr && answered_ == sent_ && std::ranges::any_of(waiting_, next)) send_question();
}

const CounterReader& MasterView::counters() const {
    if (!counters_) throw std::logic_error("the pool must say observes = true");
    return *counters_;
}

std::string MasterView::status_json() const {
    return observes() ? drover::status_json(*counters_, loop_.now_ms()) : status_text_;
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
    (void)counters();
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
