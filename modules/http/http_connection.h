// HttpConnection is one client: it reads heads in place, discards bodies, answers in order, and keeps the
// time limits. All that it holds between two requests is a few words; the state of a body exists only while
// there is one.
//
//   waiting for a request -> head -> (body) -> reply -> waiting ...  or  reply -> close
//
// Runs in: worker.
#pragma once

#include "modules/http/body_reader.h"
#include "modules/http/http_server.h"
#include "worker/connection.h"

#include <memory>

namespace drover::http {

class HttpConnection final : public Connection {
  public:
    enum class Phase : std::uint8_t {
        first,  // nothing has come yet
        idle,   // between two requests
        head,   // a part of a head is here
        body,
    };

    // `server` is the module's: it names another one after a hot reload.
    HttpConnection(Services& services, Accepted accepted, const std::shared_ptr<HttpServer>& server);

    // A client that has connected and asked for nothing yet is given this long by a worker that drains.
    static constexpr std::chrono::milliseconds drain_first{5000};

    // What on_hand_over of another worker said. Throws std::runtime_error for what it cannot have said.
    static Phase carried_phase(std::string_view state);
    void carry_on(Phase phase) noexcept { start_phase(phase); }

  private:
    // How a request whose body is still coming will be answered.
    struct Answer {
        Route* route = nullptr;
        unsigned status = 0;  // when there is no route: the error
        unsigned minor_version = 1;
        bool keep_alive = false;
        bool head_only = false;
    };
    struct Body {
        std::shared_ptr<HttpServer> server;  // whose route will answer
        BodyReader reader;
        Answer answer;
    };

    std::size_t on_input(std::string_view input) override;
    void on_sent() override;
    void on_time_limit() override;
    Movable on_hand_over(std::string& state) override;
    void on_drain() override;

    std::size_t read_head(std::string_view input);
    std::size_t read_body(std::string_view input);
    void begin_request(const RequestHead& head, bool more_follows);
    Answer choose_answer(const RequestHead& head) const noexcept;
    void send_answer(const Answer& answer, bool more_follows);
    void send_status(Persistence persistence, bool head_only);
    void send_error(unsigned status, Persistence persistence, bool head_only);
    void end(Linger linger = Linger::if_unread);
    void refuse(unsigned status, bool head_only = false);

    void start_phase(Phase phase) noexcept;
    std::chrono::milliseconds time_limit_of(Phase phase) const noexcept;
    void end_phase();
    bool has_unread_input() const noexcept;

    static constexpr char carried_version = 1;

    HttpServer& server() const noexcept { return **server_; }

    const std::shared_ptr<HttpServer>* server_;
    std::unique_ptr<Body> body_;
    HeadProgress progress_;
    // What is left of the two limits that run together when the one that is set has passed.
    std::uint32_t phase_left_ms_ = 0;
    std::uint32_t send_left_ms_ = 0;
    Phase phase_ = Phase::first;
};

}  // namespace drover::http
