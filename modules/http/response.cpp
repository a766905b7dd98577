#include "modules/http/response.h"

#include "modules/http/exchange.h"
#include "modules/http/http_connection.h"
#include "modules/http/http_syntax.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

namespace drover::http {

namespace {

bool is_made_here(std::string_view header) noexcept {
    constexpr std::string_view names[] = {"date", "content-length", "transfer-encoding", "connection"};
    return std::ranges::any_of(names,
                               [&](std::string_view name) { return equals_ignoring_case(header, name); });
}

}  // namespace

Response::Response(std::shared_ptr<Exchange> exchange) noexcept : exchange_(std::move(exchange)) {}

Response::~Response() {
    give_up();
}

Response& Response::operator=(Response&& other) noexcept {
    give_up();
    exchange_ = std::move(other.exchange_);
    return *this;
}

void Response::give_up() noexcept {
    if (exchange_ == nullptr) return;
    const std::shared_ptr<Exchange> exchange = std::move(exchange_);
    if (exchange->connection == nullptr) return;
    if (exchange->stage == Exchange::Stage::streaming) return exchange->connection->abort();
    try {
        exchange->connection->send_refusal(*exchange, 500);
    } catch (const std::exception&) {
        exchange->connection->abort();
    }
}

// Null: there is nobody to answer.
HttpConnection* Response::connection() const noexcept {
    return exchange_ != nullptr ? exchange_->connection : nullptr;
}

Response& Response::status(unsigned status) {
    if (status < 200 || status > 599) throw std::invalid_argument("an answer's status is 200 to 599");
    if (exchange_ != nullptr) exchange_->status = status;
    return *this;
}

Response& Response::type(std::string_view type) {
    if (!is_field_value(type)) throw std::invalid_argument("a media type has no control characters");
    if (exchange_ != nullptr) exchange_->type = type;
    return *this;
}

Response& Response::header(std::string_view name, std::string_view value) {
    if (!is_token(name) || !is_field_value(value))
        throw std::invalid_argument("a header has a token as name and no control characters");
    if (is_made_here(name)) throw std::invalid_argument(std::string(name) + " is the server's own to send");
    if (exchange_ != nullptr) exchange_->headers.append(name).append(": ").append(value).append("\r\n");
    return *this;
}

Response& Response::lines(std::string_view lines) {
    if (exchange_ != nullptr) exchange_->headers.append(lines);
    return *this;
}

void Response::send(std::string_view body) {
    if (connection() == nullptr || exchange_->stage == Exchange::Stage::streaming) return;
    const std::shared_ptr<Exchange> exchange = std::move(exchange_);
    exchange->connection->send_whole(*exchange, body);
}

void Response::send(unsigned status_code, std::string_view media_type, std::string_view body) {
    status(status_code).type(media_type).send(body);
}

void Response::send_file(FileRange body) {
    if (connection() == nullptr || exchange_->stage == Exchange::Stage::streaming) return;
    const std::shared_ptr<Exchange> exchange = std::move(exchange_);
    exchange->connection->send_whole_file(*exchange, std::move(body));
}

void Response::send_error(unsigned status) {
    if (connection() == nullptr || exchange_->stage == Exchange::Stage::streaming) return;
    const std::shared_ptr<Exchange> exchange = std::move(exchange_);
    exchange->connection->send_refusal(*exchange, status);
}

void Response::begin(std::optional<std::uint64_t> length) {
    if (connection() == nullptr || exchange_->stage == Exchange::Stage::streaming) return;
    exchange_->declared_length = length;
    exchange_->connection->begin_stream(*exchange_);
}

void Response::write(std::string_view bytes) {
    if (connection() == nullptr || exchange_->stage != Exchange::Stage::streaming) return;
    exchange_->connection->stream(*exchange_, bytes);
}

void Response::write_file(FileRange range) {
    if (connection() == nullptr || exchange_->stage != Exchange::Stage::streaming) return;
    exchange_->connection->stream_file(*exchange_, std::move(range));
}

void Response::end() {
    if (connection() == nullptr || exchange_->stage != Exchange::Stage::streaming) return;
    const std::shared_ptr<Exchange> exchange = std::move(exchange_);
    exchange->connection->end_stream(*exchange);
}

bool Response::writable() const noexcept {
    return connection() != nullptr && connection()->writable();
}

void Response::on_writable(std::function<void()> callback) {
    if (connection() != nullptr) exchange_->on_writable = std::move(callback);
}

bool Response::client_gone() const noexcept {
    return connection() == nullptr || exchange_->client_gone;
}

void Response::on_client_gone(std::function<void()> callback) {
    if (connection() != nullptr) exchange_->on_client_gone = std::move(callback);
}

void Response::resume_body() {
    if (connection() != nullptr) exchange_->connection->resume_body(*exchange_);
}

}  // namespace drover::http
