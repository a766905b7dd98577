#include "modules/http/http_connection.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace drover::http {

static_assert(sizeof(HttpConnection) <= 160, "an idle connection is small");

HttpConnection::HttpConnection(Services& services, Accepted accepted,
                               const std::shared_ptr<HttpServer>& server)
    : Connection(services, std::move(accepted)), server_(&server) {
    start_phase(Phase::first);
}

HttpConnection::~HttpConnection() {
    if (*server_ != nullptr) end_replies();  // null: the module has stopped before
    drop_exchange();
}

bool HttpConnection::answering() const noexcept {
    return exchange_ != nullptr && (exchange_->stage != Exchange::Stage::body || exchange_->body_paused);
}

std::size_t HttpConnection::on_input(std::string_view input) {
    std::size_t used = 0;
    reading_ = true;
    while (used < input.size() && writable() && !answering()) {
        const std::string_view rest = input.substr(used);
        const std::size_t taken = exchange_ != nullptr ? read_body(rest) : read_head(rest);
        if (taken == 0) break;
        used += taken;
    }
    reading_ = false;
    server().counters.request_bytes.add(used);
    if (closing()) return input.size();
    after_input(used == input.size());
    return used;
}

void HttpConnection::after_input(bool all_consumed) {
    const bool next_is_here =
        !all_consumed && (exchange_ == nullptr || exchange_->stage != Exchange::Stage::body);
    if (next_is_here && began_us_ == 0) began_us_ = event_at_us();
    if (answering()) {
        start_phase(Phase::answer);
        // Input that comes meanwhile has to wait. While none has come, the client's end is to be noticed.
        if (!all_consumed) pause_input();
    } else if (exchange_ != nullptr) {
        start_phase(Phase::body);
    } else if (!all_consumed && writable()) {
        // The time for a head is counted from its first byte, however slowly the others come.
        if (phase_ != Phase::head) start_phase(Phase::head);
    } else if (phase_ == Phase::idle) {
        start_phase(Phase::idle);
    }
}

// When the first byte came of the request whose head is complete now.
std::int64_t HttpConnection::take_began() noexcept {
    return began_us_ != 0 ? std::exchange(began_us_, 0) : event_at_us();
}

Tally HttpConnection::malformed_request() noexcept {
    RouteMetrics& metrics = server().counters.malformed;
    metrics.requests.add();
    return {&server(), &metrics, take_began()};
}

std::size_t HttpConnection::read_head(std::string_view input) {
    const HeadResult result = server().parser.parse(input, progress_);
    if (result.state == HeadState::incomplete) return result.consumed;
    if (result.state == HeadState::refused) {
        RequestHead head;
        if (input.starts_with("HEAD ")) head.method = Method::head;
        refuse(result.status, head, malformed_request());
        return 0;
    }
    begin_request(server().parser.head(), result.consumed < input.size());
    return result.consumed;
}

std::size_t HttpConnection::read_body(std::string_view input) {
    const std::shared_ptr<Exchange> exchange = exchange_;  // a receiver may answer, which ends it
    BodyReader& reader = *exchange->reader;
    std::string_view content;
    const std::size_t taken = reader.read(input, content);
    if (const HttpOptions& options = server().options; options.min_rate > 0)
        exchange->rate.add(taken, options.min_rate, services().deadlines.time(),
                           std::chrono::milliseconds(options.body_timeout_ms));
    if (const unsigned status = reader.refusal()) {
        refuse(status, exchange->head, exchange->tally);
        return 0;
    }
    if (!content.empty()) take_content(content);
    if (reader.done() && exchange_ == exchange) {
        exchange->more_follows = taken < input.size();
        answer_exchange();
    }
    return taken;
}

void HttpConnection::take_content(std::string_view content) {
    Exchange& exchange = *exchange_;
    if (exchange.receiver != nullptr) {
        exchange.body_paused = exchange.receiver->on_body(content) == BodyReceiver::Next::pause;
        if (exchange.body_paused) exchange.rate.pause(services().deadlines.time());
    } else if (exchange.route != nullptr && exchange.route->handler != nullptr) {
        exchange.body.append(content);
    }
}

void HttpConnection::resume_body(Exchange& exchange) {
    if (!exchange.body_paused) return;
    exchange.body_paused = false;
    if (reading_) return;
    start_phase(Phase::body);
    resume_input();
}

// A client that has ended its side may still want the answer; but it may be gone as well, and whoever works
// for it can know.
void HttpConnection::on_end_of_input() {
    if (exchange_ == nullptr || exchange_->stage == Exchange::Stage::body) return close();
    tell_gone();
}

void HttpConnection::on_writable() {
    if (exchange_ == nullptr || !exchange_->on_writable) return;
    const std::shared_ptr<Exchange> exchange = exchange_;
    std::exchange(exchange->on_writable, {})();
}

std::chrono::milliseconds HttpConnection::time_limit_of(Phase phase) const noexcept {
    const HttpOptions& options = server().options;
    const std::chrono::milliseconds header_timeout(options.header_timeout_ms);
    switch (phase) {
        case Phase::first:
            return draining() ? std::min(drain_first, header_timeout) : header_timeout;
        case Phase::idle:
            return std::chrono::milliseconds(draining() ? options.drain_idle_ms : options.idle_timeout_ms);
        case Phase::head:
            return header_timeout;
        case Phase::body: {
            const std::chrono::milliseconds body_timeout(options.body_timeout_ms);
            if (options.min_rate == 0) return body_timeout;
            return std::min(body_timeout, rate_limit(exchange_->rate));
        }
        case Phase::answer:
            return std::chrono::milliseconds(options.send_timeout_ms);
    }
    return header_timeout;
}

// What the client's rate has left.
std::chrono::milliseconds HttpConnection::rate_limit(const LeastRate& rate) const noexcept {
    return std::max(rate.left(services().deadlines.time()), DeadlineWheel::tick);
}

// While output waits that has its own limit; the phase's begins when all has left.
void HttpConnection::start_phase(Phase phase) noexcept {
    phase_ = phase;
    if (phase == Phase::body) exchange_->rate.resume(services().deadlines.time());
    if (unsent_ != nullptr) return limit_sending();
    set_time_limit(time_limit_of(phase));
}

void HttpConnection::on_time_limit() {
    if (output_waits()) {
        if (!extend_sending()) abort();
        return;
    }
    end_phase();
}

// From now on there is the whole time for a pause, and what the client's rate has left.
void HttpConnection::limit_sending() noexcept {
    send_left_ms_ = static_cast<std::uint32_t>(server().options.send_timeout_ms);
    if (!extend_sending()) set_time_limit(DeadlineWheel::tick);
}

// The time limit has passed while output waits: false when that is for good.
bool HttpConnection::extend_sending() noexcept {
    if (send_left_ms_ == 0 || !takes_fast_enough()) return false;
    std::chrono::milliseconds next(send_left_ms_);
    if (unsent_ != nullptr && server().options.min_rate > 0) next = std::min(next, rate_limit(unsent_->rate));
    send_left_ms_ -= static_cast<std::uint32_t>(next.count());
    set_time_limit(next);
    return true;
}

// Bytes that the kernel still holds have not reached the client. A client is not slow while the kernel holds
// none.
bool HttpConnection::takes_fast_enough() noexcept {
    const HttpOptions& options = server().options;
    const std::chrono::milliseconds now = services().deadlines.time();
    if (options.min_rate == 0 || unsent_ == nullptr || unsent_->rate.left(now).count() > 0) return true;
    const std::uint64_t sent = bytes_sent();
    const std::uint64_t held = unacknowledged_bytes();
    const std::uint64_t delivered = std::max(sent - std::min(sent, held), unsent_->delivered);
    unsent_->rate.add(delivered - unsent_->delivered, options.min_rate, now,
                      std::chrono::milliseconds(options.send_timeout_ms));
    unsent_->delivered = delivered;
    return held == 0 || unsent_->rate.left(now).count() > 0;
}

void HttpConnection::end_phase() {
    // How long a handler works is its own business.
    if (phase_ == Phase::answer) return start_phase(phase_);
    // So is how late we are with what a client has sent.
    if (phase_ == Phase::body && input_unread()) return start_phase(phase_);
    if (phase_ == Phase::head || phase_ == Phase::body)
        return exchange_ != nullptr ? refuse(408, exchange_->head, exchange_->tally)
                                    : refuse(408, RequestHead(), malformed_request());
    // A request that came just now is served first.
    if (input_unread()) return start_phase(phase_);
    close();
}

// The limit is for a pause, not for the whole of a large reply.
void HttpConnection::on_progress() noexcept {
    limit_sending();
    if (unsent_ != nullptr) settle_unsent(false);
}

// A reply that leaves at once, which is the common case, is never stored.
void HttpConnection::on_flushed() noexcept {
    if (gone()) return end_replies();
    if (output_waits() || unsent_ != nullptr) {
        const bool waits_already = unsent_ != nullptr;
        keep_unsent();
        settle_unsent(false);
        if (!output_waits()) return unsent_.reset();
        if (!waits_already) limit_sending();
        // No body is read meanwhile.
        if (exchange_ != nullptr) exchange_->rate.pause(services().deadlines.time());
        return;
    }
    UnsentReplies& written = *server().unsent;
    if (!written.has(*this)) return;
    const std::int64_t now_us = services().loop.now_us();
    std::string peer;
    written.take(*this, [&](UnsentReply& reply) {
        if (!reply.peer.empty()) peer = std::move(reply.peer);
        server().finish(reply, reply.whole(), peer, now_us);
    });
}

// The client is asked for while the kernel still knows.
void HttpConnection::keep_unsent() {
    if (unsent_ == nullptr) {
        unsent_ = std::make_unique<WaitingReplies>(services().deadlines.time());
        if (server().access_log != nullptr) unsent_->peer = peer_address().host_text();
    }
    server().unsent->take(*this, [this](UnsentReply& reply) {
        if (!reply.peer.empty()) unsent_->peer = std::move(reply.peer);
        unsent_->add(std::move(reply));
    });
}

// Of what unsent_ has been given, and of the answer that is under way.
std::uint64_t HttpConnection::bytes_sent() const noexcept {
    const std::uint64_t under_way = exchange_ != nullptr ? exchange_->written : 0;
    const std::uint64_t written = unsent_->written() + under_way;
    return written - std::min(written, unsent_bytes());
}

void HttpConnection::settle_unsent(bool ended) noexcept {
    const std::int64_t now_us = services().loop.now_us();
    unsent_->settle(bytes_sent(), ended, [&](const UnsentReply& reply, std::uint64_t sent_of_it) {
        server().finish(reply, sent_of_it, unsent_->peer, now_us);
    });
}

// The connection has ended, and with it what was not answered yet.
void HttpConnection::end_replies() noexcept {
    if (exchange_ != nullptr && exchange_->tally.metrics != nullptr) {
        const bool begun = exchange_->stage == Exchange::Stage::streaming;
        count_exchange(*exchange_, begun ? exchange_->status : client_closed_request);
    }
    if (!server().unsent->has(*this) && unsent_ == nullptr) return;
    keep_unsent();
    settle_unsent(true);
    unsent_.reset();
}

void HttpConnection::on_sent() {
    start_phase(phase_);
}

// A request that is being read or answered ends here first: it knows this worker's routes.
Connection::Movable HttpConnection::on_hand_over(std::string& state) {
    if (exchange_ != nullptr) return Movable::later;
    return on_hand_over_closing(state);
}

// The replies that have not left are counted and logged where they do.
Connection::Movable HttpConnection::on_hand_over_closing(std::string& state) {
    state = {carried_version, static_cast<char>(closing() ? Phase::idle : phase_)};
    state.append(reinterpret_cast<const char*>(&began_us_), sizeof began_us_);
    state.append(reinterpret_cast<const char*>(&send_left_ms_), sizeof send_left_ms_);
    const bool fits = unsent_ == nullptr || unsent_->append_to(state, services().deadlines.time());
    return fits ? Movable::now : Movable::later;
}

// A head of which a part has come is scanned again from its beginning.
HttpConnection::Carried HttpConnection::carried(std::string_view state) {
    Carried carried;
    constexpr std::size_t fixed_size = 2 + sizeof carried.began_us + sizeof carried.send_left_ms;
    const bool known = state.size() >= fixed_size && state[0] == carried_version && state[1] >= 0 &&
                       state[1] <= static_cast<char>(Phase::head);
    if (!known) throw std::runtime_error("http: unknown state of a connection");
    carried.phase = static_cast<Phase>(state[1]);
    std::memcpy(&carried.began_us, state.data() + 2, sizeof carried.began_us);
    std::memcpy(&carried.send_left_ms, state.data() + 2 + sizeof carried.began_us,
                sizeof carried.send_left_ms);
    if (carried.send_left_ms > HttpOptions::max_send_timeout_ms)
        throw std::runtime_error("http: unknown time limit of a connection");
    state.remove_prefix(fixed_size);
    if (state.empty()) return carried;
    carried.unsent = std::make_unique<WaitingReplies>();
    carried.unsent->take_from(state);
    return carried;
}

void HttpConnection::carry_on(Carried carried) noexcept {
    began_us_ = carried.began_us;
    unsent_ = std::move(carried.unsent);
    if (unsent_ == nullptr) return start_phase(carried.phase);
    // The time limit that was set goes on by itself.
    phase_ = carried.phase;
    send_left_ms_ = carried.send_left_ms;
    unsent_->rate = LeastRate(services().deadlines.time(), unsent_->rate.left(LeastRate::Time(0)));
    if (server().access_log != nullptr) unsent_->peer = peer_address().host_text();
}

void HttpConnection::on_drain() {
    if (phase_ == Phase::first || phase_ == Phase::idle) start_phase(phase_);
}

}  // namespace drover::http
