// What HttpConnection answers, and how: fixed replies and refusals at once, all else through an Exchange.
#include "core/log/log.h"
#include "modules/http/http_connection.h"
#include "modules/http/http_syntax.h"
#include "modules/http/path.h"

#include <charconv>
#include <exception>

namespace drover::http {

namespace {

// The methods of a fixed reply, and with it of the server as a whole.
constexpr std::string_view plain_methods = "GET, HEAD";

// "GET, HEAD" has "GET".
bool has_method(std::string_view methods, std::string_view method) noexcept {
    while (!methods.empty())
        if (take_list_element(methods) == method) return true;
    return false;
}

// From this size on a body is not copied on its way out.
constexpr std::size_t borrow_from = 4096;

void call(std::function<void()>& callback, Services& services) noexcept {
    try {
        if (const auto called = std::exchange(callback, {})) called();
    } catch (const std::exception& failure) {
        services.log.error(std::string("http handler: ") + failure.what());
    }
}

}  // namespace

HttpConnection::Choice HttpConnection::choose(const RequestHead& head) {
    const Tally unmatched{&server(), &server().counters.unmatched, take_began()};
    const bool is_other = head.method == Method::other;
    const bool asks_options = is_other && head.method_name == "OPTIONS";
    const bool is_for_server = head.path.empty() || head.path == "*";  // CONNECT and OPTIONS *
    if (is_for_server) return {nullptr, asks_options ? 204U : 405U, plain_methods, unmatched};
    const std::optional<std::string_view> path = resolve_path(head.path, server().path_scratch);
    if (!path) return {nullptr, 400, {}, {&server(), &server().counters.malformed, unmatched.began_us}};
    server().resolved_path = *path;
    Route* const route = server().routes.find(*path, head.host);
    if (route == nullptr) return {nullptr, 404, {}, unmatched};
    const Tally tally{&server(), &route->metrics, unmatched.began_us};
    if (route->handler == nullptr && !is_other) return {route, 0, {}, tally};
    const std::string_view methods = route->handler != nullptr ? route->handler->methods() : plain_methods;
    if (has_method(methods, head.method_name)) return {route, 0, {}, tally};
    return {nullptr, asks_options ? 204U : 405U, methods, tally};
}

// A worker that drains closes with the last reply for which a request is here: one that is here already gets
// its own.
void HttpConnection::begin_request(const RequestHead& head, bool more_follows) {
    const Choice choice = choose(head);
    choice.tally.metrics->requests.add();
    if (head.framing != Framing::none) return begin_body(head, choice, more_follows);
    server().date.refresh();
    if (choice.route == nullptr || choice.route->handler == nullptr)
        return send_simple(head, choice, head.keep_alive && (more_follows || !draining()));
    const std::shared_ptr<Exchange> exchange = make_exchange(head, choice, more_follows);
    exchange_ = exchange;
    call_handler(*exchange, {});
    if (exchange->stage != Exchange::Stage::done && server().access_log != nullptr) keep_head(*exchange);
}

void HttpConnection::begin_body(const RequestHead& head, const Choice& choice, bool more_follows) {
    if (head.content_length > server().options.max_body) return refuse(413, head, choice.tally);
    // A client that expects 100 Continue is refused before it sends the body.
    if (head.expects_continue && choice.route == nullptr)
        return refuse(choice.status, head, choice.tally, choice.allow);
    const std::shared_ptr<Exchange> exchange = make_exchange(head, choice, more_follows);
    exchange->stage = Exchange::Stage::body;
    exchange->reader.emplace(head, server().options.max_body);
    exchange->rate = LeastRate(services().deadlines.time());
    keep_head(*exchange);
    exchange_ = exchange;
    if (choice.route != nullptr && choice.route->handler != nullptr) {
        Response response(exchange);
        const Request request(exchange->head, exchange->resolved_path, {}, *this);
        exchange->receiver = choice.route->handler->receive(request, response);
        // Without a receiver it is the exchange's own until the body is there.
        if (exchange->receiver == nullptr) response.release();
        if (exchange_ != exchange) return;
    }
    if (!head.expects_continue || more_follows) return;
    answer(*exchange, [this] { write("HTTP/1.1 100 Continue\r\n\r\n"); });
    exchange->head_size = static_cast<std::uint32_t>(exchange->written);
}

// The client is asked for while the kernel still knows.
void HttpConnection::keep_head(Exchange& exchange) const {
    exchange.keep_head();
    if (server().access_log != nullptr) exchange.peer = peer_address().host_text();
}

std::shared_ptr<Exchange> HttpConnection::make_exchange(const RequestHead& head, const Choice& choice,
                                                        bool more_follows) {
    std::shared_ptr<Exchange> exchange = server().take_exchange();
    exchange->connection = this;
    exchange->server = *server_;
    exchange->head = head;
    exchange->route = choice.route;
    exchange->tally = choice.tally;
    exchange->status = choice.route != nullptr ? 200 : choice.status;
    exchange->allow = choice.allow;
    exchange->resolved_path = server().resolved_path;
    exchange->more_follows = more_follows;
    return exchange;
}

// The body is there.
void HttpConnection::answer_exchange() {
    const std::shared_ptr<Exchange> exchange = exchange_;
    exchange->server->date.refresh();
    exchange->stage = Exchange::Stage::answering;
    if (exchange->receiver != nullptr) return exchange->receiver->on_body_end();
    const Choice choice{exchange->route, exchange->status, exchange->allow, exchange->tally};
    if (choice.route != nullptr && choice.route->handler != nullptr)
        return call_handler(*exchange, exchange->body);
    send_simple(exchange->head, choice, exchange->head.keep_alive && (exchange->more_follows || !draining()));
    release(*exchange);
}

void HttpConnection::call_handler(Exchange& exchange, std::string_view body) {
    const Request request(exchange.head, exchange.resolved_path, body, *this);
    try {
        exchange.route->handler->handle(request, Response(exchange_));
    } catch (const std::exception& failure) {
        services().log.error(std::string("http handler: ") + failure.what());
    }
}

Persistence HttpConnection::persistence(bool keep, unsigned minor_version) const noexcept {
    const Persistence kept = minor_version > 0 ? Persistence::keep : Persistence::keep_said;
    return keep ? kept : Persistence::close;
}

void HttpConnection::send_simple(const RequestHead& head, const Choice& choice, bool keep) {
    if (choice.route != nullptr) {
        send_fixed(head, choice, keep);
    } else {
        send_error(choice.status, persistence(keep, head.minor_version), head, choice.tally, choice.allow);
    }
    phase_ = Phase::idle;
    if (!keep) end();
}

void HttpConnection::send_fixed(const RequestHead& head, const Choice& choice, bool keep) {
    FixedReply& reply = *choice.route->reply;
    const std::string_view bytes =
        reply.bytes(persistence(keep, head.minor_version), head.method == Method::head, server().date);
    const std::size_t body_size = head.method == Method::head ? 0 : reply.body_size();
    count(choice.tally, head, reply.status(), bytes.size(), bytes.size() - body_size);
    bytes.size() < borrow_from ? write(bytes) : write_borrowed(bytes);
}

void HttpConnection::send_error(unsigned status, Persistence persistence, const RequestHead& head,
                                const Tally& tally, std::string_view allow) {
    std::string& reply = server().scratch;
    reply.clear();
    std::string lines;
    if (!allow.empty()) lines.append("Allow: ").append(allow).append("\r\n");
    const std::size_t body_size =
        server().append_error(reply, status, persistence, head.method == Method::head, lines);
    count(tally, head, status, reply.size(), reply.size() - body_size);
    write(reply);
}

// The requests that follow on this connection cannot be told apart any more, or are not wanted.
void HttpConnection::refuse(unsigned status, const RequestHead& head, const Tally& tally,
                            std::string_view allow) {
    server().date.refresh();
    send_error(status, Persistence::close, head, tally, allow);
    drop_exchange();
    end(Linger::always);
}

// The output that is left has the same time as any output.
void HttpConnection::end(Linger linger) {
    close(linger);
    limit_sending();
}

// The next request can only be told apart when all of this one has been read.
bool HttpConnection::may_keep(const Exchange& exchange) const noexcept {
    const bool body_is_read = !exchange.reader || exchange.reader->done();
    const bool more_follows = exchange.more_follows || input_waits();
    return exchange.head.keep_alive && body_is_read && !input_ended() && (more_follows || !draining());
}

void HttpConnection::send_head(Exchange& exchange, std::optional<std::uint64_t> length) {
    exchange.keep_alive = may_keep(exchange) && (length || exchange.chunked);
    exchange.server->date.refresh();
    std::string& out = exchange.server->scratch;
    out.clear();
    append_head(out,
                {.status = exchange.status,
                 .type = exchange.type,
                 .extra_headers = exchange.headers,
                 .length = length,
                 .chunked = exchange.chunked},
                persistence(exchange.keep_alive, exchange.head.minor_version), exchange.server->date);
    exchange.head_size += static_cast<std::uint32_t>(out.size());
    answer(exchange, [&] { write(out); });
}

void HttpConnection::send_whole(Exchange& exchange, std::string_view body) {
    in_hook([&] {
        send_head(exchange, body.size());
        if (exchange.head.method != Method::head && status_has_body(exchange.status)) {
            answer(exchange, [&] { write(body); });
        }
        end_exchange(exchange);
    });
}

void HttpConnection::send_whole_file(Exchange& exchange, FileRange body) {
    in_hook([&] {
        send_head(exchange, body.length);
        if (exchange.head.method != Method::head && status_has_body(exchange.status)) {
            answer(exchange, [&] { send_file(std::move(body)); });
        }
        end_exchange(exchange);
    });
}

void HttpConnection::send_refusal(Exchange& exchange, unsigned status) {
    in_hook([&] {
        exchange.status = status;
        exchange.keep_alive = may_keep(exchange);
        exchange.server->date.refresh();
        std::string& reply = exchange.server->scratch;
        reply.clear();
        const bool head_only = exchange.head.method == Method::head;
        const std::size_t body_size = exchange.server->append_error(
            reply, status, persistence(exchange.keep_alive, exchange.head.minor_version), head_only,
            exchange.headers);
        exchange.head_size += static_cast<std::uint32_t>(reply.size() - body_size);
        answer(exchange, [&] { write(reply); });
        end_exchange(exchange);
    });
}

void HttpConnection::begin_stream(Exchange& exchange) {
    in_hook([&] {
        exchange.stage = Exchange::Stage::streaming;
        exchange.chunked = !exchange.declared_length && exchange.head.minor_version > 0;
        send_head(exchange, exchange.declared_length);
    });
}

void HttpConnection::stream(Exchange& exchange, std::string_view bytes) {
    exchange.body_given += bytes.size();
    if (exchange.head.method == Method::head || !status_has_body(exchange.status) || bytes.empty()) return;
    in_hook([&] { answer(exchange, [&] { write_piece(exchange, bytes.size(), [&] { write(bytes); }); }); });
}

void HttpConnection::stream_file(Exchange& exchange, FileRange range) {
    exchange.body_given += range.length;
    if (exchange.head.method == Method::head || !status_has_body(exchange.status) || range.length == 0)
        return;
    const std::uint64_t size = range.length;
    in_hook([&] {
        answer(exchange, [&] { write_piece(exchange, size, [&] { send_file(std::move(range)); }); });
    });
}

// A chunk, where there are chunks.
template <class Write>
void HttpConnection::write_piece(const Exchange& exchange, std::uint64_t size, Write write_content) {
    if (!exchange.chunked) return write_content();
    char line[20];
    const std::to_chars_result end = std::to_chars(line, line + 16, size, 16);
    end.ptr[0] = '\r';
    end.ptr[1] = '\n';
    write({line, static_cast<std::size_t>(end.ptr + 2 - line)});
    write_content();
    write("\r\n");
}

void HttpConnection::end_stream(Exchange& exchange) {
    const bool has_body = exchange.head.method != Method::head && status_has_body(exchange.status);
    const bool as_declared = !exchange.declared_length || *exchange.declared_length == exchange.body_given;
    // The client must not take a part for the whole.
    if (has_body && !as_declared) return abort();
    in_hook([&] {
        if (exchange.chunked && has_body) answer(exchange, [this] { write("0\r\n\r\n"); });
        end_exchange(exchange);
    });
}

// It is counted and logged when it has left, or the connection has ended. Until then the request's texts must
// stay: those of the input do to the end of the hook, unless they are kept input. Sizes are without what the
// exchange that is under way has written.
void HttpConnection::count(const Tally& tally, const RequestHead& head, unsigned status, std::uint64_t size,
                           std::uint64_t head_size) {
    if (exchange_ != nullptr) {
        size += std::exchange(exchange_->written, 0);
        head_size += exchange_->head_size;
    }
    UnsentReply reply{.connection = this,
                      .metrics = tally.metrics,
                      .label = tally.metrics->hash,
                      .began_us = tally.began_us,
                      .size = size,
                      .head_size = static_cast<std::uint32_t>(head_size),
                      .status = static_cast<std::uint16_t>(status),
                      .cut = closing(),
                      .logged = tally.server->access_log != nullptr};
    if (reply.logged) {
        reply.request = {head.method_name, head.target, head.host, head.fields, head.minor_version};
        if (exchange_ != nullptr && !exchange_->kept_head.empty()) {
            reply.exchange = exchange_;
            reply.peer = exchange_->peer;
        } else if (input_waits()) {
            reply.keep_texts();
        }
    }
    // A client that has closed its end may be unknown when it is answered.
    if (reply.logged && reply.peer.empty() && !tally.server->unsent->has(*this))
        reply.peer = peer_address().host_text();
    if (tally.server != server_->get()) reply.server = exchange_->server;
    tally.server->unsent->add(std::move(reply));
    // After the connection's end there is no hook any more.
    if (closing()) keep_unsent();
}

void HttpConnection::count_exchange(Exchange& exchange, unsigned status) {
    count(exchange.tally, exchange.head, status, 0, 0);
    exchange.tally.metrics = nullptr;
}

// The answer has been written. Goes on with what the client sent meanwhile.
void HttpConnection::end_exchange(Exchange& exchange) {
    count_exchange(exchange, exchange.status);
    const bool body_is_read = !exchange.reader || exchange.reader->done();
    const bool keep = exchange.keep_alive;
    release(exchange);
    phase_ = Phase::idle;
    if (!keep) return end(body_is_read ? Linger::if_unread : Linger::always);
    if (reading_) return;
    start_phase(Phase::idle);
    resume_input();
}

void HttpConnection::release(Exchange& exchange) noexcept {
    exchange.stage = Exchange::Stage::done;
    exchange.connection = nullptr;
    exchange.server.reset();
    exchange_.reset();
}

void HttpConnection::tell_gone() noexcept {
    const std::shared_ptr<Exchange> exchange = exchange_;
    if (exchange->client_gone) return;
    exchange->client_gone = true;
    call(exchange->on_client_gone, services());
}

void HttpConnection::drop_exchange() noexcept {
    if (exchange_ == nullptr) return;
    const std::shared_ptr<Exchange> exchange = std::move(exchange_);
    exchange->connection = nullptr;
    exchange->stage = Exchange::Stage::done;
    const bool told = std::exchange(exchange->client_gone, true);
    if (!told) call(exchange->on_client_gone, services());
    exchange->on_writable = {};
    exchange->receiver.reset();
    exchange->server.reset();
}

}  // namespace drover::http
