#include "master/control/control.h"

#include "core/base/system_error.h"
#include "core/base/unique_fd.h"
#include "core/net/address.h"
#include "core/net/listener.h"
#include "master/control/control_connection.h"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace drover {

namespace {

constexpr int backlog = 32;
constexpr unsigned accepts_per_event = 32;
constexpr std::chrono::milliseconds accept_pause{1000};

using Phase = ControlConnection::Phase;

Listener bind_control(const std::string& path) {
    if (path.size() >= sizeof(sockaddr_un::sun_path)) {
        throw_error(ENAMETOOLONG, "bind",
                    fmt::format("{} (a unix socket's path has at most {} bytes)", path,
                                sizeof(sockaddr_un::sun_path) - 1));
    }
    ListenerOptions options;
    options.balance = Balance::shared;
    options.backlog = backlog;
    options.unix_mode = 0600;
    return Listener::bind(Address::parse("unix:" + path), options, 1);
}

// For one who is not let in: whether he hears it is up to him.
void send_refusal(int fd, std::string_view error) {
    const std::string line = control_reply_line(false, error);
    ::send(fd, line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

}  // namespace

struct ControlServer::Caller {
    Caller(State& server, ControlCaller name, UniqueFd socket);
    void start_limit();
    bool silent() const noexcept { return limit.started(); }
    // He waits for an answer and has closed his sending side: his end would raise no event.
    bool waits_unheard() const noexcept {
        return connection.half_closed() && connection.phase() == Phase::waiting;
    }
    void on_ready(Readiness readiness);
    void on_limit();
    void on_retry();

    State& state;
    ControlCaller number;
    ControlConnection connection;
    FdWatch watch;
    Timer limit;
    std::int64_t silent_since_ms = 0;  // while the limit runs
    Timer retry;
    ControlRequest request = {};  // the one that waits for its answer
    std::int64_t asked_ms = 0;
    bool asks_again = false;
};

struct ControlServer::State {
    State(EventLoop& event_loop, Log& server_log, const std::string& path, RequestHandler handler,
          std::chrono::milliseconds silence_time);
    ~State();

    void watch_listener();
    bool renew();
    void on_connections(Readiness readiness);
    void accept_again() { watch.want(Interest::read); }
    void admit(UniqueFd socket);
    bool make_place();
    void drop_gone();
    Caller* find(ControlCaller number) const noexcept;
    void drop(ControlCaller number) noexcept;
    // Sends what there is, then drops the caller when he is done or dead, else waits for what he needs.
    // Nobody may touch him afterwards.
    void settle(Caller& caller) noexcept;
    void deliver(Caller& caller, std::string_view line, std::vector<UniqueFd> fds = {});
    void answer(ControlCaller number, bool ok, std::string_view text_or_error,
                std::vector<UniqueFd> fds = {});
    // Serves one line at most. False when the handler has destroyed this State; so is call_handler().
    bool serve(ControlCaller number);
    bool call_handler(const Caller& caller);
    void serve_pipelined();
    // His output has left, or a part of it.
    void settle_output(ControlCaller number);
    static bool wants_more(const Caller* caller) noexcept;

    EventLoop& loop;
    Log& log;
    RequestHandler on_request;
    RoomHandler on_room;
    std::chrono::milliseconds silence;
    Listener listener;
    FdWatch watch;
    Timer accept_timer;
    Timer gone_timer;  // while there is one who waits unheard
    Timer
        pipelined;  // requests that came with an earlier one: later, so that no caller can keep the loop busy
    std::vector<std::unique_ptr<Caller>> callers;
    ControlCaller last_number = 0;
    bool full_was_logged = false;
    bool* destroyed = nullptr;  // set while the handler runs
};

ControlServer::Caller::Caller(State& server, ControlCaller name, UniqueFd socket)
    : state(server),
      number(name),
      connection(std::move(socket), max_line, max_unread_output),
      limit(server.loop, Timer::Handler::to<&Caller::on_limit>(this)),
      retry(server.loop, Timer::Handler::to<&Caller::on_retry>(this)) {
    watch.start(server.loop, connection.fd(), Interest::read, FdWatch::Handler::to<&Caller::on_ready>(this));
    start_limit();
}

void ControlServer::Caller::start_limit() {
    limit.start_once(state.silence);
    silent_since_ms = state.loop.now_ms();
}

void ControlServer::Caller::on_ready(Readiness readiness) {
    const Interest interest = connection.interest();
    const bool reads = interest == Interest::read || interest == Interest::read_write;
    if (readiness.readable && reads && !connection.receive()) return state.drop(number);
    state.serve(number);
}

void ControlServer::Caller::on_limit() {
    if (connection.phase() == Phase::reading && !connection.output_waits()) {
        connection.leave(fmt::format("no complete request within {} ms", state.silence.count()));
        connection.flush();
    }
    state.drop(number);
}

void ControlServer::Caller::on_retry() {
    State& server = state;
    const ControlCaller name = number;
    if (std::exchange(asks_again, false) && !server.call_handler(*this)) return;
    server.serve(name);
}

ControlServer::State::State(EventLoop& event_loop, Log& server_log, const std::string& path,
                            RequestHandler handler, std::chrono::milliseconds silence_time)
    : loop(event_loop),
      log(server_log),
      on_request(handler),
      silence(silence_time),
      listener(bind_control(path)),
      accept_timer(loop, Timer::Handler::to<&State::accept_again>(this)),
      gone_timer(loop, Timer::Handler::to<&State::drop_gone>(this)),
      pipelined(loop, Timer::Handler::to<&State::serve_pipelined>(this)) {
    listener.listen();
    watch_listener();
}

void ControlServer::State::watch_listener() {
    watch.start(loop, listener.socket_for(0), Interest::read,
                FdWatch::Handler::to<&State::on_connections>(this));
}

// The socket leaves the loop before it is closed.
bool ControlServer::State::renew() {
    watch.stop();
    bool renewed = false;
    try {
        renewed = listener.renew();
    } catch (...) {
        watch_listener();
        throw;
    }
    watch_listener();
    return renewed;
}

ControlServer::State::~State() {
    if (destroyed != nullptr) *destroyed = true;
}

void ControlServer::State::on_connections(Readiness) {
    for (unsigned count = 0; count < accepts_per_event; ++count) {
        UniqueFd socket(::accept4(listener.socket_for(0), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (socket) {
            admit(std::move(socket));
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != ECONNABORTED && errno != EINTR) {
            log.warning(fmt::format("control: accept: {}; trying again in {} ms",
                                    std::generic_category().message(errno), accept_pause.count()));
            watch.want(Interest::none);
            return accept_timer.start_once(accept_pause);
        }
    }
}

void ControlServer::State::admit(UniqueFd socket) {
    ucred peer{};
    socklen_t size = sizeof peer;
    const bool known = ::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
    if (!known || (peer.uid != 0 && peer.uid != ::geteuid())) {
        log.warning(fmt::format("control: refused a caller of uid {} (pid {})", peer.uid, peer.pid));
        return send_refusal(socket.get(), "only root and the master's own user may call");
    }
    if (callers.size() >= max_callers && !make_place()) {
        return send_refusal(socket.get(), "too many callers; try again later");
    }
    try {
        callers.push_back(std::make_unique<Caller>(*this, ++last_number, std::move(socket)));
    } catch (const std::system_error& error) {
        log.warning(fmt::format("control: dropped a caller: {}", error.what()));
    }
}

bool ControlServer::State::make_place() {
    Caller* silent = nullptr;
    for (const auto& caller : callers) {
        const bool longer = silent == nullptr || caller->silent_since_ms < silent->silent_since_ms;
        if (caller->silent() && longer) silent = caller.get();
    }
    if (!std::exchange(full_was_logged, true)) {
        log.warning(
            fmt::format("control: {} callers; {}", max_callers,
                        silent != nullptr ? "the one silent longest gives way to another" : "refusing more"));
    }
    if (silent == nullptr) return false;
    silent->connection.leave("too many callers; you were silent longest and gave way to another");
    silent->connection.flush();
    std::erase_if(callers, [silent](const auto& caller) { return caller.get() == silent; });
    return true;
}

void ControlServer::State::drop_gone() {
    std::erase_if(callers,
                  [](const auto& caller) { return caller->waits_unheard() && caller->connection.gone(); });
    full_was_logged = full_was_logged && callers.size() >= max_callers;
    if (std::ranges::any_of(callers, [](const auto& caller) { return caller->waits_unheard(); }))
        gone_timer.start_once(gone_interval);
}

ControlServer::Caller* ControlServer::State::find(ControlCaller number) const noexcept {
    const auto found = std::ranges::find(callers, number, [](const auto& caller) { return caller->number; });
    return found == callers.end() ? nullptr : found->get();
}

void ControlServer::State::drop(ControlCaller number) noexcept {
    std::erase_if(callers, [number](const auto& caller) { return caller->number == number; });
    full_was_logged = full_was_logged && callers.size() >= max_callers;
}

void ControlServer::State::settle(Caller& caller) noexcept {
    const bool alive = caller.connection.flush();
    const bool done = caller.connection.phase() == Phase::leaving && !caller.connection.output_waits();
    if (!alive || done) return drop(caller.number);
    try {
        caller.watch.want(caller.connection.interest());
        if (caller.waits_unheard() && !gone_timer.started()) gone_timer.start_once(gone_interval);
        if (caller.connection.short_of_room()) caller.retry.start_once(retry_delay);
    } catch (const std::system_error& error) {
        log.warning(fmt::format("control: dropped a caller: {}", error.what()));
        drop(caller.number);
    }
}

bool ControlServer::State::serve(ControlCaller number) {
    Caller* caller = find(number);
    if (caller == nullptr) return true;
    const bool reads = caller->connection.phase() == Phase::reading;
    if (reads && caller->connection.descriptors_unread()) {
        if (caller->connection.has_more_input()) caller->retry.start_once(retry_delay);
    } else if (reads) {
        if (const std::optional<std::string> line = caller->connection.take_line()) {
            const ParsedControlRequest parsed = parse_control_request(*line);
            if (!parsed.error.empty()) {
                caller->connection.leave(parsed.error);
            } else if (changes_something(parsed.request) && caller->connection.gone()) {
                log.warning(
                    fmt::format("control: \"{}\" is not carried out: its caller had left before it was "
                                "read",
                                parsed.request.command));
                drop(number);
                return true;
            } else {
                caller->request = parsed.request;
                caller->asked_ms = loop.now_ms();
                caller->limit.stop();
                if (!call_handler(*caller)) return false;
            }
        }
    }
    settle_output(number);
    return true;
}

bool ControlServer::State::wants_more(const Caller* caller) noexcept {
    return caller != nullptr && caller->connection.phase() == Phase::waiting &&
           !caller->connection.output_waits();
}

void ControlServer::State::settle_output(ControlCaller number) {
    Caller* const caller = find(number);
    if (caller == nullptr) return;
    const bool waited = caller->connection.output_waits();
    settle(*caller);
    if (waited && on_room && wants_more(find(number))) on_room(number);
}

bool ControlServer::State::call_handler(const Caller& caller) {
    struct Guard {
        State* state;
        bool destroyed = false;
        ~Guard() {
            if (!destroyed) state->destroyed = nullptr;
        }
    } guard{this};
    destroyed = &guard.destroyed;
    const RequestHandler handler = on_request;
    const ControlRequest request = caller.request;
    handler(caller.number, request);
    return !guard.destroyed;
}

void ControlServer::State::serve_pipelined() {
    std::vector<ControlCaller> numbers;
    for (const auto& caller : callers) {
        const bool ready =
            caller->connection.phase() == Phase::reading && caller->connection.has_more_input();
        if (ready) numbers.push_back(caller->number);
    }
    for (const ControlCaller number : numbers) {
        if (!serve(number)) return;
    }
}

void ControlServer::State::answer(ControlCaller number, bool ok, std::string_view text_or_error,
                                  std::vector<UniqueFd> fds) {
    Caller* caller = find(number);
    if (caller == nullptr || caller->connection.phase() != Phase::waiting) return;
    std::string line = control_reply_line(ok, text_or_error);
    if (line.size() > max_unread_output) line = control_reply_line(false, "the answer is too long");
    caller->connection.answered();
    caller->start_limit();
    if (caller->connection.has_more_input()) pipelined.start_once(std::chrono::milliseconds(0));
    deliver(*caller, line, std::move(fds));
}

void ControlServer::State::deliver(Caller& caller, std::string_view line, std::vector<UniqueFd> fds) {
    if (caller.connection.queue(line, std::move(fds))) return settle(caller);
    log.warning("control: dropped a caller who does not read");
    drop(caller.number);
}

ControlServer::ControlServer(EventLoop& loop, Log& log, const std::string& path, RequestHandler on_request,
                             std::chrono::milliseconds silence)
    : state_(std::make_unique<State>(loop, log, path, on_request, silence)) {}

ControlServer::~ControlServer() = default;

bool ControlServer::renew() {
    return state_->renew();
}

void ControlServer::progress(ControlCaller number, std::string_view text) {
    Caller* caller = state_->find(number);
    const bool waits = caller != nullptr && caller->connection.phase() == Phase::waiting;
    if (waits && caller->request.progress) state_->deliver(*caller, control_progress_line(text));
}

void ControlServer::set_room_handler(RoomHandler on_room) noexcept {
    state_->on_room = on_room;
}

bool ControlServer::knows(ControlCaller number) const noexcept {
    return state_->find(number) != nullptr;
}

bool ControlServer::wants_more(ControlCaller number) const noexcept {
    return State::wants_more(state_->find(number));
}

void ControlServer::send_lines(ControlCaller number, std::string_view lines) {
    Caller* const caller = state_->find(number);
    if (caller != nullptr && caller->connection.phase() == Phase::waiting) state_->deliver(*caller, lines);
}

void ControlServer::reply(ControlCaller number, bool ok, std::string_view text_or_error) {
    state_->answer(number, ok, text_or_error);
}

void ControlServer::reply_with(ControlCaller number, std::string_view text, std::vector<UniqueFd> fds) {
    state_->answer(number, true, text, std::move(fds));
}

bool ControlServer::ask_again(ControlCaller number) {
    Caller* const caller = state_->find(number);
    if (caller == nullptr || caller->connection.phase() != Phase::waiting) return true;
    if (state_->loop.now_ms() - caller->asked_ms >= shortage_limit.count()) return false;
    caller->asks_again = true;
    caller->retry.start_once(retry_delay);
    return true;
}

}  // namespace drover
