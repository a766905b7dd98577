// A worker's part in a hot reload: it builds the next generation's state beside the one that serves, says
// whether it can, and puts it in place when the master has passed the commit point.
#include "core/base/system_error.h"
#include "worker/worker.h"

#include <algorithm>
#include <exception>
#include <iterator>
#include <optional>
#include <stdexcept>

namespace drover {

namespace {

constexpr std::chrono::milliseconds prepare_retry_interval{20};

}  // namespace

void Worker::prepare() {
    if (!next_ || state_ != WorkerState::serving) return;
    try {
        if (next_->listeners.size() != next_->configuration->pool().listen.size()) {
            throw std::runtime_error("a listener is missing");
        }
        for (const ListenSettings& listen : next_->configuration->pool().listen) {
            check_takes(modules_->find(listen.module), listen);
        }
        check_generations();
        prepare_listeners();
    } catch (const std::exception& failure) {
        return refuse_next(failure.what());
    }
    prepare_modules();
}

// A shortage may pass while the master waits for the others.
void Worker::prepare_modules() {
    try {
        modules_->prepare(*assignment_.configuration, next_->configuration);
    } catch (const std::exception& failure) {
        if (!is_shortage(failure)) return refuse_next(failure.what());
        if (!next_->retry) {
            const std::chrono::milliseconds patience(settings().master.prepare_timeout_ms / 2);
            next_->retry = std::make_unique<Retry>(loop_, Timer::Handler::to<&Worker::prepare_modules>(this),
                                                   loop_.now_ms() + patience.count());
            log_.warning("a hot reload lacks something, and is tried again: " + std::string(failure.what()));
        }
        if (loop_.now_ms() >= next_->retry->end_ms) return refuse_next(failure.what());
        return next_->retry->timer.start_once(prepare_retry_interval);
    }
    channel_->send(MessageType::prepared, GenerationMessage{next_->configuration->generation()});
}

void Worker::refuse_next(const std::string& reason) {
    const std::string generation = std::to_string(next_->configuration->generation());
    next_.reset();
    files_.abandon(*assignment_.configuration);
    channel_->send_text(MessageType::not_prepared, generation + " " + reason);
}

// Requests that are under way keep the generation they began with alive; slow ones must not pile them up. One
// that modules without a change live on is theirs.
void Worker::check_generations() const {
    std::size_t alive = 0;
    std::size_t modules_own = 0;
    for (const auto& each : generations_) {
        const std::shared_ptr<const Configuration> configuration = each.lock();
        if (configuration == nullptr) continue;
        ++alive;
        const bool serves = configuration == assignment_.configuration;
        if (!serves && modules_->lives_on(configuration->generation())) ++modules_own;
    }
    const unsigned most = settings().master.max_generations;
    if (alive > max_older_generations + 1)
        throw std::runtime_error(std::to_string(alive - 1) + " generations are still in use");
    if (alive - modules_own <= most) return;
    throw std::runtime_error("requests that are under way still use " +
                             std::to_string(alive - modules_own - 1) +
                             " generations (master.max_generations is " + std::to_string(most) + ")");
}

static_assert(max_older_generations + 1 >= max_generations_limit);

// Whatever uses a generation's counters holds its configuration. A generation that was withdrawn has a higher
// number than the one that serves again.
void Worker::note_generations(Report& report) const noexcept {
    report.generation = assignment_.configuration->generation();
    for (const auto& each : generations_) {
        const std::shared_ptr<const Configuration> configuration = each.lock();
        if (configuration == nullptr || configuration == assignment_.configuration) continue;
        if (report.older_count < std::size(report.older))
            report.older[report.older_count++] = configuration->generation();
    }
}

void Worker::abandon() {
    if (!next_) return;
    modules_->abandon();
    next_.reset();
    files_.abandon(*assignment_.configuration);
}

void Worker::commit() {
    if (!next_ || state_ != WorkerState::serving) return;
    take_over_listeners();
    next_->listeners.clear();  // a duplicate that is kept would keep a closed listener listening
    assignment_ = std::move(*next_);
    next_.reset();
    services_->configuration = assignment_.configuration;
    modules_->commit();
    files_.commit(*assignment_.configuration);
    apply_settings();
    report_timer_.start_every(std::chrono::milliseconds(pool().report_interval_ms));
    note_room();
    if (at_limit_ && connections_.size() < connection_limit_) resume_accepting();
    finish_gone_datagrams();
    owes_committed_ = true;
    say_committed();
    send_report();
}

// When it has closed the addresses that are gone: nothing here keeps them in use.
void Worker::say_committed() {
    const auto open = [](const auto& acceptor) {
        return acceptor->listener() >= first_gone_listener && !acceptor->closed();
    };
    if (!owes_committed_ || std::ranges::any_of(watched_, open)) return;
    owes_committed_ = false;
    if (channel_ != nullptr)
        channel_->send(MessageType::committed, GenerationMessage{assignment_.configuration->generation()});
}

// Where listener `index` of `before` stands in `after`; none when it does not. Port 0 is another port
// wherever it stands.
std::optional<unsigned> Worker::find_again(const std::vector<ListenSettings>& before, unsigned index,
                                           const std::vector<ListenSettings>& after) {
    const ListenSettings& listen = before[index];
    const bool chosen_by_kernel = !listen.address.is_unix() && listen.address.port() == 0;
    for (unsigned i = 0; i < after.size(); ++i) {
        const bool same_place = !chosen_by_kernel || i == index;
        if (same_place && listener_name(after[i]) == listener_name(listen)) return i;
    }
    return std::nullopt;
}

// The others get their new numbers. A listener that goes takes its queue along: at once where its address
// stays, for another module; when the rest is in place where nothing new comes there any more.
std::vector<std::unique_ptr<Acceptor>> Worker::drop_listeners(const std::vector<unsigned>& new_index) {
    const auto gone = [&](const auto& each) {
        return each->listener() == no_listener || new_index[each->listener()] == no_listener;
    };
    std::vector<std::unique_ptr<Acceptor>> ending;
    for (auto& acceptor : acceptors_) {
        if (!gone(acceptor)) continue;
        if (ends(acceptor->listener()))
            ending.push_back(std::move(acceptor));
        else
            acceptor->finish();
    }
    std::erase(acceptors_, nullptr);
    for (const auto& socket : datagram_sockets_) {
        if (!gone(socket)) continue;
        socket->renumber(no_listener);
        gone_sockets_.push_back(socket);
    }
    std::erase_if(acceptors_, gone);
    std::erase_if(datagram_sockets_, gone);
    for (const auto& acceptor : acceptors_)
        acceptor->set_listener(new_index[acceptor->listener()]);
    return ending;
}

void Worker::prepare_listeners() {
    const std::vector<ListenSettings>& before = pool().listen;
    const std::vector<ListenSettings>& after = next_->configuration->pool().listen;
    NextListeners& next = next_->next;
    next.acceptors.resize(after.size());
    next.sockets.resize(after.size());
    next.datagrams.resize(after.size());
    std::vector<bool> kept(after.size());
    for (unsigned i = 0; i < before.size(); ++i) {
        const std::optional<unsigned> again = find_again(before, i, after);
        next.new_index.push_back(again.value_or(no_listener));
        if (again) kept[*again] = true;
    }
    for (unsigned i = 0; i < after.size(); ++i) {
        const bool udp = after[i].address.takes_datagrams();
        next.modules.push_back(modules_->find(after[i].module));
        if (udp) next.datagrams[i] = datagram_settings(next_->configuration, i);
        if (kept[i]) continue;
        if (udp) next.sockets[i] = make_datagram_socket(std::move(next_->listeners[i]));
        if (!udp) next.acceptors[i] = make_acceptor(std::move(next_->listeners[i]), i);
    }
}

// Connections of a listener that goes remember its name, by which they can still move.
std::vector<unsigned> Worker::numbers_after(const NextListeners& next) {
    std::vector<unsigned> numbers = next.new_index;
    for (unsigned i = 0; i < numbers.size(); ++i)
        if (numbers[i] == no_listener) numbers[i] = gone_listener(listener_name(pool().listen[i]));
    return numbers;
}

// A listener that both generations have keeps its acceptor; connections keep theirs under its new number.
void Worker::take_over_listeners() {
    NextListeners& next = next_->next;
    auto ending = drop_listeners(next.new_index);  // while everything else is still as it was
    for (const auto& acceptor : watched_)
        acceptor->finish();
    for (const auto& socket : datagram_sockets_)
        socket->configure(std::move(next.datagrams[next.new_index[socket->listener()]]));
    listener_modules_ = std::move(next.modules);
    for (auto& acceptor : next.acceptors) {
        if (acceptor != nullptr) acceptors_.push_back(std::move(acceptor));
    }
    for (unsigned i = 0; i < next.sockets.size(); ++i) {
        if (next.sockets[i] == nullptr) continue;
        next.sockets[i]->configure(std::move(next.datagrams[i]));
        datagram_sockets_.push_back(std::move(next.sockets[i]));
    }
    const std::vector<unsigned> numbers = numbers_after(next);
    connections_.renumber_listeners(numbers);
    for (auto& acceptor : ending) {
        acceptor->set_listener(numbers[acceptor->listener()]);
        acceptor->listener() == no_listener ? acceptor->close()
                                            : acceptor->finish_when_quiet(ending_quiet_time);
        watched_.push_back(std::move(acceptor));
    }
    ending_listeners_.clear();
    next = {};
    start_listeners();
}

}  // namespace drover
