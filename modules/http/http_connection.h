// HttpConnection is one client: it reads heads in place, gives bodies to whom they are for, answers in order,
// and keeps the time limits. All that it holds between two requests is a few words; an Exchange exists only
// while a body is read or a handler works.
//
//   waiting for a request -> head -> (body) -> (handler) -> reply -> waiting ...  or  reply -> close
//
// http_connection.cpp reads and waits, http_answers.cpp answers. Runs in: worker.
#pragma once

#include "modules/http/exchange.h"
#include "modules/http/http_server.h"
#include "worker/stream/connection.h"

#include <memory>

namespace drover::http {

class HttpConnection final : public Connection {
  public:
    enum class Phase : std::uint8_t {
        first,  // nothing has come yet
        idle,   // between two requests
        head,   // a part of a head is here
        body,
        answer,  // a handler works
    };

    // `server` is the module's: it names another one after a hot reload.
    HttpConnection(Services& services, Accepted accepted, const std::shared_ptr<HttpServer>& server);
    ~HttpConnection() override;

    // A client that has connected and asked for nothing yet is given this long by a worker that drains.
    static constexpr std::chrono::milliseconds drain_first{5000};

    // The state that on_hand_over of another worker has written.
    struct Carried {
        Phase phase = Phase::first;
        std::int64_t began_us = 0;
        std::uint32_t send_left_ms = 0;
        std::unique_ptr<WaitingReplies> unsent = {};
    };
    // Throws std::runtime_error for what it cannot have said.
    static Carried carried(std::string_view state);
    void carry_on(Carried carried) noexcept;

    // What a Response asks for, of the exchange that is under way here.
    void send_whole(Exchange& exchange, std::string_view body);
    void send_whole_file(Exchange& exchange, FileRange body);
    void send_refusal(Exchange& exchange, unsigned status);
    void begin_stream(Exchange& exchange);
    void stream(Exchange& exchange, std::string_view bytes);
    void stream_file(Exchange& exchange, FileRange range);
    void end_stream(Exchange& exchange);
    void resume_body(Exchange& exchange);
    using Connection::writable;

  private:
    std::size_t on_input(std::string_view input) override;
    void on_end_of_input() override;
    void on_writable() override;
    void on_progress() noexcept override;
    void on_flushed() noexcept override;
    void on_sent() override;
    void on_time_limit() override;
    bool on_flush_limit() noexcept override { return extend_sending(); }
    Movable on_hand_over(std::string& state) override;
    Movable on_hand_over_closing(std::string& state) override;
    void on_disowned() noexcept override { unsent_.reset(); }
    void on_drain() override;
    bool idle() const noexcept override { return phase_ == Phase::idle && exchange_ == nullptr && !reading_; }

    std::size_t read_head(std::string_view input);
    std::size_t read_body(std::string_view input);
    void take_content(std::string_view content);
    void after_input(bool all_consumed);
    bool answering() const noexcept;

    // What a request is answered with, as far as its head says.
    struct Choice {
        Route* route = nullptr;
        unsigned status = 0;     // when there is no route, or not for this method
        std::string_view allow;  // for 405 and OPTIONS
        Tally tally = {};
    };
    Choice choose(const RequestHead& head);
    void begin_request(const RequestHead& head, bool more_follows);
    std::int64_t take_began() noexcept;
    Tally malformed_request() noexcept;
    void count(const Tally& tally, const RequestHead& head, unsigned status, std::uint64_t size,
               std::uint64_t head_size);
    void count_exchange(Exchange& exchange, unsigned status);
    void keep_head(Exchange& exchange) const;
    void end_replies() noexcept;
    void keep_unsent();
    void settle_unsent(bool ended) noexcept;
    void begin_body(const RequestHead& head, const Choice& choice, bool more_follows);
    void call_handler(Exchange& exchange, std::string_view body);
    void answer_exchange();
    std::shared_ptr<Exchange> make_exchange(const RequestHead& head, const Choice& choice, bool more_follows);
    Persistence persistence(bool keep, unsigned minor_version) const noexcept;
    bool may_keep(const Exchange& exchange) const noexcept;
    void send_simple(const RequestHead& head, const Choice& choice, bool keep);
    void send_fixed(const RequestHead& head, const Choice& choice, bool keep);
    void send_error(unsigned status, Persistence persistence, const RequestHead& head, const Tally& tally,
                    std::string_view allow = {});
    void send_head(Exchange& exchange, std::optional<std::uint64_t> length);
    void end_exchange(Exchange& exchange);
    void release(Exchange& exchange) noexcept;
    template <class Write>
    void write_piece(const Exchange& exchange, std::uint64_t size, Write write_content);
    void drop_exchange() noexcept;
    void tell_gone() noexcept;
    void end(Linger linger = Linger::if_unread);
    void refuse(unsigned status, const RequestHead& head, const Tally& tally, std::string_view allow = {});

    void start_phase(Phase phase) noexcept;
    std::chrono::milliseconds time_limit_of(Phase phase) const noexcept;
    void end_phase();
    std::chrono::milliseconds rate_limit(const LeastRate& rate) const noexcept;
    void limit_sending() noexcept;
    bool extend_sending() noexcept;
    bool takes_fast_enough() noexcept;
    std::uint64_t bytes_sent() const noexcept;

    // Writes a part of the exchange's answer.
    template <class Write>
    void answer(Exchange& exchange, Write write) {
        const std::uint64_t before = unsent_bytes();
        write();
        exchange.written += unsent_bytes() - before;
    }

    // What nginx calls a request of which nothing was answered when its client, or the worker, went.
    static constexpr unsigned client_closed_request = 499;
    static constexpr char carried_version = 4;

    HttpServer& server() const noexcept { return **server_; }

    const std::shared_ptr<HttpServer>* server_;
    std::shared_ptr<Exchange> exchange_;      // null: none is under way
    std::unique_ptr<WaitingReplies> unsent_;  // null: all that was written has left
    std::int64_t began_us_ = 0;               // the request of which a part is here; 0: there is none
    HeadProgress progress_;
    std::uint32_t send_left_ms_ =
        0;  // while output waits: of the time for a pause, behind the limit that is set
    Phase phase_ = Phase::first;
    bool reading_ = false;  // in on_input, which looks after phase and pause at its end
};

}  // namespace drover::http
