#include "worker/intake.h"

#include "core/base/system_error.h"
#include "core/counters/counter_table.h"
#include "worker/module/configuration.h"
#include "worker/module/module.h"
#include "worker/module/module_host.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <iterator>
#include <stdexcept>
#include <string>
#include <utility>

#include <sys/resource.h>

namespace drover {

namespace {

// A handshake can be under way for about a minute (tcp_synack_retries, tcp(7)).
constexpr std::chrono::milliseconds watch_time{65'000};
// Of a listener that ends while the service goes on: the last packet of a handshake takes that long.
constexpr std::chrono::milliseconds ending_quiet_time{250};
// In a full pool: idle connections that make room at once, as a share of max_connections.
constexpr std::uint64_t displaced_share = 32;
constexpr std::chrono::milliseconds room_interval{100};
// Descriptors that are not for connections: log, listeners, the channel's messages, what modules open.
constexpr rlim_t reserved_descriptors = 64;

// At the descriptor limit not even a message of the master's could be received.
std::uint64_t most_connections() noexcept {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur - std::min(limit.rlim_cur / 2, reserved_descriptors);
}

}  // namespace

Admission admission(std::uint64_t connections, std::uint64_t limit, bool pool_full) noexcept {
    if (connections < limit) return Admission::go_on;
    if (!pool_full) return Admission::pause;
    return connections == limit ? Admission::go_on_if_idle : Admission::displace;
}

Intake::Intake(EventLoop& loop, Log& log, ConnectionList& connections, Handlers handlers)
    : loop_(loop),
      log_(log),
      connections_(connections),
      handlers_(handlers),
      datagrams_(loop, log, handlers.on_ended),
      room_(loop, handlers.on_room),
      room_timer_(loop, Timer::Handler::to<&Intake::look_for_room>(this)) {}

void Intake::set_up(const ModuleHost& modules, const CounterRow& counters,
                    const std::shared_ptr<const Configuration>& configuration,
                    std::vector<UniqueFd> sockets) {
    modules_ = &modules;
    counters_ = &counters;
    accepted_ = counters.counter("drover_connections_accepted_total");
    refused_ = counters.counter("drover_connections_refused_total");
    displaced_ = counters.counter("drover_connections_displaced_total");
    Next next = prepare(configuration, std::move(sockets));
    listeners_.replace(std::move(next.listeners));
    acceptors_ = std::move(next.acceptors);
    std::erase(acceptors_, nullptr);
    datagrams_.take_over({}, std::move(next.datagrams));
}

void Intake::set_limit(const PoolSettings& pool) {
    limit_ = std::min<std::uint64_t>(pool.max_connections, most_connections());
    room_.update(connections_.size(), limit_);
    if (state_ == State::full && connections_.size() < limit_) resume();
}

void Intake::open() {
    state_ = State::open;
    datagrams_.start();
    for (const auto& acceptor : acceptors_)
        acceptor->start();
}

Intake::Next Intake::prepare(const std::shared_ptr<const Configuration>& configuration,
                             std::vector<UniqueFd> sockets) {
    const std::vector<ListenSettings>& listen = configuration->pool().listen;
    if (sockets.size() != listen.size()) throw std::runtime_error("a listener is missing");
    Next next;
    next.listeners = ListenerNames::list(listen, *modules_);
    next.acceptors.resize(listen.size());
    next.datagrams.sockets.resize(listen.size());
    next.datagrams.settings.resize(listen.size());
    const std::vector<unsigned> kept = listeners_.find_again(next.listeners);
    for (unsigned i = 0; i < listen.size(); ++i) {
        const bool udp = listen[i].address.takes_datagrams();
        if (udp)
            next.datagrams.settings[i] =
                DatagramListeners::settings(configuration, i, next.listeners[i].module, *counters_);
        if (std::ranges::find(kept, i) != kept.end()) continue;
        if (udp)
            next.datagrams.sockets[i] = datagrams_.open(std::move(sockets[i]));
        else
            next.acceptors[i] = make_acceptor(std::move(sockets[i]), i);
    }
    return next;
}

void Intake::commit(Next next) {
    const std::vector<unsigned> new_index = listeners_.find_again(next.listeners);
    Acceptors going = take_gone(new_index);  // while everything else is still as it was
    for (const auto& acceptor : watched_)
        acceptor->finish();
    const std::vector<unsigned> numbers = listeners_.replace(std::move(next.listeners));
    for (const auto& acceptor : acceptors_)
        acceptor->set_listener(numbers[acceptor->listener()]);
    std::ranges::move(next.acceptors, std::back_inserter(acceptors_));
    std::erase(acceptors_, nullptr);
    datagrams_.take_over(new_index, std::move(next.datagrams));
    connections_.renumber_listeners(numbers);
    for (auto& acceptor : going) {
        acceptor->set_listener(numbers[acceptor->listener()]);
        if (acceptor->listener() == ListenerNames::no_listener)
            acceptor->close();
        else
            acceptor->finish_when_quiet(ending_quiet_time);
        watched_.push_back(std::move(acceptor));
    }
    ending_.clear();
    datagrams_.start();
    if (state_ != State::open) return;
    for (const auto& acceptor : acceptors_)
        acceptor->start();
}

// A listener that goes takes its queue along: at once where its address stays, for another module; when the
// rest is in place where nothing new comes there any more. Returns the acceptors of the latter.
Intake::Acceptors Intake::take_gone(const std::vector<unsigned>& new_index) {
    const auto goes = [&](const auto& acceptor) {
        return new_index[acceptor->listener()] == ListenerNames::no_listener;
    };
    for (const auto& acceptor : acceptors_)
        if (goes(acceptor) && !ends(acceptor->listener())) acceptor->finish();
    const auto first = std::stable_partition(acceptors_.begin(), acceptors_.end(), std::not_fn(goes));
    Acceptors going(std::make_move_iterator(first), std::make_move_iterator(acceptors_.end()));
    acceptors_.erase(first, acceptors_.end());
    std::erase_if(going, [](const auto& acceptor) { return acceptor->closed(); });
    return going;
}

bool Intake::gone_closed() const noexcept {
    return std::ranges::none_of(watched_, [](const auto& acceptor) {
        return acceptor->listener() >= first_gone_listener && !acceptor->closed();
    });
}

void Intake::watch(unsigned listener, UniqueFd socket) {
    const bool serving = state_ == State::open || state_ == State::full;
    if (!serving || listener >= listeners_.size()) return;
    std::erase_if(watched_, [](const auto& acceptor) { return acceptor->closed(); });
    watched_.push_back(make_acceptor(std::move(socket), listener));
    if (state_ == State::open) watched_.back()->start();
    watched_.back()->close_after(watch_time);
}

void Intake::note_end(unsigned listener) {
    ending_.push_back(listener);
}

bool Intake::ends(unsigned listener) const noexcept {
    return std::ranges::find(ending_, listener) != ending_.end();
}

std::unique_ptr<Acceptor> Intake::make_acceptor(UniqueFd socket, unsigned listener) {
    return std::make_unique<Acceptor>(
        loop_, std::move(socket), listener, Acceptor::AcceptHandler::to<&Intake::on_accept>(this),
        Acceptor::ShortageHandler::to<&Intake::on_shortage>(this), handlers_.on_ended);
}

void Intake::on_accept(Accepted accepted) {
    accepted_.add();
    try {
        const bool gone = accepted.listener >= first_gone_listener;
        Module* const module = gone ? module_of_gone(listeners_.gone_name(accepted.listener))
                                    : listeners_[accepted.listener].module;
        if (gone) accepted.gone_listener = std::exchange(accepted.listener, 0);
        module->connection(std::move(accepted));
    } catch (...) {
        refused_.add();
        log_.error("connection refused: " + caught_text());
    }
    if (state_ == State::ending || connections_.size() < limit_) return;
    room_.update(connections_.size(), limit_);
    if (!goes_on()) pause();
}

// While no other worker has room the next client comes in at the cost of idle ones, several at a time: each
// look for them is one at all connections.
bool Intake::goes_on() {
    switch (admission(connections_.size(), limit_, pool_full_)) {
        case Admission::go_on:
            return true;
        case Admission::go_on_if_idle:
            return connections_.any_idle();
        case Admission::displace: {
            const std::size_t displaced = connections_.displace(1 + limit_ / displaced_share);
            displaced_.add(displaced);
            return displaced > 0;
        }
        case Admission::pause:
            break;
    }
    return false;
}

void Intake::pause() {
    state_ = State::full;
    for (const auto* acceptors : {&acceptors_, &watched_})
        for (const auto& acceptor : *acceptors)
            acceptor->pause();
    if (pool_full_) room_timer_.start_once(room_interval);
}

void Intake::resume() {
    state_ = State::open;
    room_timer_.stop();
    for (const auto* acceptors : {&acceptors_, &watched_})
        for (const auto& acceptor : *acceptors)
            acceptor->start();
}

void Intake::set_pool_full(bool full) {
    pool_full_ = full;
    if (full && state_ == State::full) return look_for_room();
    if (!full && state_ == State::open && connections_.size() >= limit_) pause();
}

void Intake::look_for_room() {
    if (state_ != State::full || !pool_full_) return;
    if (connections_.size() <= limit_ && connections_.any_idle()) return resume();
    room_timer_.start_once(room_interval);
}

void Intake::on_shortage(int error) {
    if (std::exchange(shortage_said_, true)) return;
    log_.error("cannot accept connections: " + std::string(std::strerror(error)) +
               "; trying again until there is room (said once)");
}

void Intake::on_connection_closed() {
    if (room_.full()) room_.update(connections_.size(), limit_);
    if (state_ == State::full && connections_.size() < limit_) resume();
}

void Intake::add_giver(UniqueFd socket) {
    std::erase_if(givers_, [](const auto& giver) { return giver->ended(); });
    givers_.push_back(std::make_unique<HandoverReceiver>(
        loop_, connections_, std::move(socket), [this](std::string_view name) { return find_target(name); },
        handlers_.on_ended, HandoverReceiver::RoomHandler::to<&Intake::room_for_connections>(this)));
}

// A connection that ends with its giver makes the worker look at the list: the list is empty by then.
void Intake::drop_givers() {
    const auto dropped = std::exchange(givers_, {});
}

// A listener that this worker does not have any more may still have a module here that serves its
// connections.
HandoverReceiver::Target Intake::find_target(std::string_view name) {
    if (const NamedListener* const known = listeners_.find(name); known != nullptr)
        return {known->module, static_cast<unsigned>(known - listeners_.all().data()), known->family};
    Module* const module = module_of_gone(name);
    if (module == nullptr) return {};
    return {module, listeners_.gone_number(name), AF_UNSPEC};
}

// The module itself stays when a hot reload takes its listener away.
Module* Intake::module_of_gone(std::string_view listener_name) const {
    return modules_->find(listener_name.substr(listener_name.rfind(' ') + 1));
}

std::size_t Intake::room_for_connections() const {
    return most_connections() - std::min<std::uint64_t>(most_connections(), connections_.size());
}

// Without a successor nobody comes after this worker, and what is being opened is waited for.
void Intake::finish(bool has_successor) {
    state_ = State::ending;
    room_timer_.stop();
    datagrams_.finish([&](unsigned listener) { return has_successor && !ends(listener); });
    for (const auto& acceptor : acceptors_) {
        if (ends(acceptor->listener()))
            acceptor->finish_when_quiet(ending_quiet_time);
        else
            has_successor ? acceptor->finish() : acceptor->finish_when_quiet();
    }
    for (const auto& acceptor : watched_)
        acceptor->finish();
}

void Intake::close() {
    for (const auto& acceptor : acceptors_)
        acceptor->close();
    datagrams_.close();
}

bool Intake::accepting() const noexcept {
    const auto open = [](const auto& acceptor) { return !acceptor->closed(); };
    return std::ranges::any_of(acceptors_, open) || std::ranges::any_of(watched_, open);
}

bool Intake::done() const noexcept {
    const auto ended = [](const auto& giver) { return giver->ended(); };
    return !datagrams_.busy() && std::ranges::all_of(givers_, ended) && !accepting();
}

}  // namespace drover
