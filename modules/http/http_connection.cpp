#include "modules/http/http_connection.h"

#include "worker/status_json.h"

#include <algorithm>
#include <exception>
#include <stdexcept>

#include <sys/socket.h>

namespace drover::http {

static_assert(sizeof(HttpConnection) <= 300, "an idle connection is small");

HttpConnection::HttpConnection(Services& services, Accepted accepted,
                               const std::shared_ptr<HttpServer>& server)
    : Connection(services, std::move(accepted)), server_(&server) {
    start_phase(Phase::first);
}

std::size_t HttpConnection::on_input(std::string_view input) {
    std::size_t used = 0;
    while (used < input.size() && writable()) {
        const std::string_view rest = input.substr(used);
        const std::size_t taken = body_ != nullptr ? read_body(rest) : read_head(rest);
        if (taken == 0) break;
        used += taken;
    }
    if (closing()) return input.size();

    if (body_ != nullptr) {
        start_phase(Phase::body);
    } else if (used < input.size() && writable()) {
        // The time for a head is counted from its first byte, however slowly the others come.
        if (phase_ != Phase::head) start_phase(Phase::head);
    } else if (phase_ == Phase::idle) {
        start_phase(Phase::idle);
    }
    return used;
}

std::size_t HttpConnection::read_head(std::string_view input) {
    const HeadResult result = server().parser.parse(input, progress_);
    if (result.state == HeadState::incomplete) return result.consumed;
    server().counters.requests.add();
    if (result.state == HeadState::refused) {
        refuse(result.status, input.starts_with("HEAD "));
        return 0;
    }
    begin_request(server().parser.head(), result.consumed < input.size());
    return result.consumed;
}

void HttpConnection::begin_request(const RequestHead& head, bool more_follows) {
    const Answer answer = choose_answer(head);
    if (head.framing == Framing::none) return send_answer(answer, more_follows);
    if (head.content_length > server().options.max_body) return refuse(413, answer.head_only);
    if (head.expects_continue) {
        // Who waits to be asked for the body need not send it to be told no.
        if (answer.route == nullptr) return refuse(answer.status, answer.head_only);
        if (!more_follows) write("HTTP/1.1 100 Continue\r\n\r\n");
    }
    body_ = std::make_unique<Body>(Body{*server_, BodyReader(head, server().options.max_body), answer});
}

std::size_t HttpConnection::read_body(std::string_view input) {
    const std::size_t taken = body_->reader.read(input);
    const Answer answer = body_->answer;
    if (const unsigned status = body_->reader.refusal()) {
        refuse(status, answer.head_only);
        return 0;
    }
    if (body_->reader.done()) {
        const std::unique_ptr<Body> body = std::move(body_);  // keeps the route until the answer is written
        send_answer(answer, taken < input.size());
    }
    return taken;
}

HttpConnection::Answer HttpConnection::choose_answer(const RequestHead& head) const noexcept {
    Answer answer{.minor_version = head.minor_version,
                  .keep_alive = head.keep_alive,
                  .head_only = head.method == Method::head};
    Route* const route = server().routes.find(head.path);
    const bool is_for_server = head.path.empty() || head.path == "*";  // CONNECT and OPTIONS *
    if (head.method == Method::other)
        answer.status = route != nullptr || is_for_server ? 405 : 404;
    else if (route == nullptr)
        answer.status = 404;
    else
        answer.route = route;
    return answer;
}

// A worker that drains closes with the last reply for which a request is here: one that is here already gets
// its own.
void HttpConnection::send_answer(const Answer& answer, bool more_follows) {
    const bool keep = answer.keep_alive && (more_follows || !draining());
    const Persistence kept = answer.minor_version > 0 ? Persistence::keep : Persistence::keep_said;
    const Persistence persistence = keep ? kept : Persistence::close;
    server().date.refresh();
    if (answer.route == nullptr) {
        send_error(answer.status, persistence, answer.head_only);
    } else if (answer.route->reply) {
        server().counters.count_reply(answer.route->reply->status());
        write(answer.route->reply->bytes(persistence, answer.head_only, server().date));
    } else {
        send_status(persistence, answer.head_only);
    }
    phase_ = Phase::idle;
    if (!keep) end();
}

void HttpConnection::send_status(Persistence persistence, bool head_only) {
    std::string body;
    try {
        body = status_json(services().counters.reader(), services().loop.now_ms());
    } catch (const std::exception&) {
        return send_error(500, persistence, head_only);
    }
    const Reply reply{.status = 200,
                      .type = "application/json",
                      .extra_headers = "Cache-Control: no-store\r\n",
                      .body = body};
    server().counters.count_reply(reply.status);
    server().scratch.clear();
    append_reply(server().scratch, reply, persistence, head_only, server().date);
    write(server().scratch);
}

void HttpConnection::send_error(unsigned status, Persistence persistence, bool head_only) {
    server().counters.count_reply(status);
    server().scratch.clear();
    append_error(server().scratch, status, persistence, head_only, server().date);
    write(server().scratch);
}

// What follows on this connection cannot be told apart any more, or is not wanted.
void HttpConnection::refuse(unsigned status, bool head_only) {
    server().date.refresh();
    send_error(status, Persistence::close, head_only);
    end(Linger::always);
}

// What is still to be sent has the time that any output has.
void HttpConnection::end(Linger linger) {
    close(linger);
    set_time_limit(std::chrono::milliseconds(server().options.send_timeout_ms));
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
        case Phase::body:
            return std::chrono::milliseconds(options.body_timeout_ms);
    }
    return header_timeout;
}

// Whether the socket took the reply is only known after the hook, so the limits of phase and output run
// together: the shorter one is set, the other's rest is kept.
void HttpConnection::start_phase(Phase phase) noexcept {
    phase_ = phase;
    const std::chrono::milliseconds phase_limit = time_limit_of(phase);
    const std::chrono::milliseconds send_limit(server().options.send_timeout_ms);
    const std::chrono::milliseconds first = std::min(phase_limit, send_limit);
    phase_left_ms_ = static_cast<std::uint32_t>((phase_limit - first).count());
    send_left_ms_ = static_cast<std::uint32_t>((send_limit - first).count());
    set_time_limit(first);
}

void HttpConnection::on_time_limit() {
    std::uint32_t& left_ms = output_waits() ? send_left_ms_ : phase_left_ms_;
    if (left_ms > 0) return set_time_limit(std::chrono::milliseconds(std::exchange(left_ms, 0)));
    if (output_waits()) return abort();
    end_phase();
}

void HttpConnection::end_phase() {
    if (phase_ == Phase::head || phase_ == Phase::body)
        return refuse(408, body_ != nullptr && body_->answer.head_only);
    // A request that came just now is served first.
    if (has_unread_input()) return start_phase(phase_);
    close();
}

void HttpConnection::on_sent() {
    start_phase(phase_);
}

// A request whose body is still coming ends here first: it knows this worker's routes.
Connection::Movable HttpConnection::on_hand_over(std::string& state) {
    if (body_ != nullptr) return Movable::later;
    state = {carried_version, static_cast<char>(phase_)};
    return Movable::now;
}

// A head of which a part has come is scanned again from its beginning.
HttpConnection::Phase HttpConnection::carried_phase(std::string_view state) {
    const bool known = state.size() == 2 && state[0] == carried_version && state[1] >= 0 &&
                       state[1] <= static_cast<char>(Phase::head);
    if (!known) throw std::runtime_error("http: unknown state of a connection");
    return static_cast<Phase>(state[1]);
}

void HttpConnection::on_drain() {
    if (phase_ == Phase::first || phase_ == Phase::idle) start_phase(phase_);
}

bool HttpConnection::has_unread_input() const noexcept {
    char byte = 0;
    return ::recv(fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

}  // namespace drover::http
