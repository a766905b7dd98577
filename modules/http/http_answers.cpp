// What HttpConnection answers, and how: fixed replies and refusals at once, all else through an Exchange.
#include "modules/http/http_connection.h"
#include "modules/http/http_syntax.h"
#include "modules/http/path.h"

#include <charconv>
#include <exception>

namespace drover::http {

namespace {

// What a fixed reply, and with it the server as a whole, takes.
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
    if (exchange->stage != Exchange::Stage::done && server().access_log != nullptr) exchange->keep_head();
}

void HttpConnection::begin_body(const RequestHead& head, const Choice& choice, bool more_follows) {
    if (head.content_length > server().options.max_body) return refuse(413, head, choice.tally);
    // Who waits to be asked for the body need not send it to be told no.
    if (head.expects_continue && choice.route == nullptr)
        return refuse(choice.status, head, choice.tally, choice.allow);
    const std::shared_ptr<Exchange> exchange = make_exchange(head, choice, more_follows);
    exchange->stage = Exchange::Stage::body;
    exchange->reader.emplace(head, server().options.max_body);
    exchange->keep_head();
    exchange_ = exchange;
    if (choice.route != nullptr && choice.route->handler != nullptr) {
        Response response(exchange);
        const Request request(exchange->head, exchange->resolved_path, {}, *this);
        exchange->receiver = choice.route->handler->receive(request, response);
        // Without a receiver it is the exchange's own until the body is there.
        if (exchange->receiver == nullptr) response.release();
        if (exchange_ != exchange) return;
    }
    if (head.expects_continue && !more_follows) write("HTTP/1.1 100 Continue\r\n\r\n");
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
    exchange_.reset();
    exchange->stage = Exchange::Stage::done;
    exchange->connection = nullptr;
    send_simple(exchange->head, choice, exchange->head.keep_alive && (exchange->more_follows || !draining()));
    exchange->server.reset();
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
    count(choice.tally, head, reply.status(), bytes.size(), reply.body_size());
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
    count(tally, head, status, reply.size(), body_size);
    write(reply);
}

// What follows on this connection cannot be told apart any more, or is not wanted.
void HttpConnection::refuse(unsigned status, const RequestHead& head, const Tally& tally,
                            std::string_view allow) {
    server().date.refresh();
    send_error(status, Persistence::close, head, tally, allow);
    drop_exchange();
    end(Linger::always);
}

// What is still to be sent has the time that any output has.
void HttpConnection::end(Linger linger) {
    close(linger);
    set_time_limit(std::chrono::milliseconds(server().options.send_timeout_ms));
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
    exchange.head_size = out.size();
    write(out);
}

void HttpConnection::send_whole(Exchange& exchange, std::string_view body) {
    in_hook([&] {
        send_head(exchange, body.size());
        if (exchange.head.method != Method::head && status_has_body(exchange.status)) {
            write(body);
            exchange.body_sent = body.size();
        }
        end_exchange(exchange);
    });
}

void HttpConnection::send_whole_file(Exchange& exchange, FileRange body) {
    in_hook([&] {
        send_head(exchange, body.length);
        if (exchange.head.method != Method::head && status_has_body(exchange.status)) {
            exchange.body_sent = body.length;
            send_file(std::move(body));
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
        exchange.body_sent = exchange.server->append_error(
            reply, status, persistence(exchange.keep_alive, exchange.head.minor_version), head_only,
            exchange.headers);
        exchange.head_size = reply.size() - exchange.body_sent;
        write(reply);
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
    exchange.body_sent += bytes.size();
    if (exchange.head.method == Method::head || !status_has_body(exchange.status) || bytes.empty()) return;
    if (!exchange.chunked) return write(bytes);
    in_hook([&] {
        char size[20];
        const std::to_chars_result end = std::to_chars(size, size + 16, bytes.size(), 16);
        end.ptr[0] = '\r';
        end.ptr[1] = '\n';
        write({size, static_cast<std::size_t>(end.ptr + 2 - size)});
        write(bytes);
        write("\r\n");
    });
}

void HttpConnection::stream_file(Exchange& exchange, FileRange range) {
    exchange.body_sent += range.length;
    if (exchange.head.method == Method::head || !status_has_body(exchange.status) || range.length == 0)
        return;
    in_hook([&] {
        if (!exchange.chunked) return send_file(std::move(range));
        char size[20];
        const std::to_chars_result end = std::to_chars(size, size + 16, range.length, 16);
        write({size, static_cast<std::size_t>(end.ptr - size)});
        write("\r\n");
        send_file(std::move(range));
        write("\r\n");
    });
}

void HttpConnection::end_stream(Exchange& exchange) {
    const bool has_body = exchange.head.method != Method::head && status_has_body(exchange.status);
    const bool as_declared = !exchange.declared_length || *exchange.declared_length == exchange.body_sent;
    // The client must not take a part for the whole.
    if (has_body && !as_declared) return abort();
    in_hook([&] {
        if (exchange.chunked && has_body) write("0\r\n\r\n");
        if (!has_body) exchange.body_sent = 0;
        end_exchange(exchange);
    });
}

// Its time ends when it has left.
void HttpConnection::count(const Tally& tally, const RequestHead& head, unsigned status, std::uint64_t bytes,
                           std::uint64_t body_size) {
    HttpServer& from = *tally.server;
    from.count(tally, head, status, bytes, body_size, *this);
    from.times->add(*this, tally.metrics->time, tally.began_us, from.configuration->generation());
    // After the connection's end there is no hook any more.
    if (closing()) from.times->observe(*this, services().loop.now_us());
}

// The answer has been written. Goes on with what the client sent meanwhile.
void HttpConnection::end_exchange(Exchange& exchange) {
    count(exchange.tally, exchange.head, exchange.status, exchange.head_size + exchange.body_sent,
          exchange.body_sent);
    const bool body_is_read = !exchange.reader || exchange.reader->done();
    const bool keep = exchange.keep_alive;
    exchange.stage = Exchange::Stage::done;
    exchange.connection = nullptr;
    exchange.server.reset();
    exchange_.reset();
    phase_ = Phase::idle;
    if (!keep) return end(body_is_read ? Linger::if_unread : Linger::always);
    if (reading_) return;
    start_phase(Phase::idle);
    resume_input();
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
