#include "worker/datagram/datagram_listeners.h"

#include "conf/counters.h"
#include "core/base/system_error.h"
#include "core/counters/counter_table.h"
#include "worker/listener_names.h"
#include "worker/module/configuration.h"
#include "worker/module/module.h"

#include <algorithm>
#include <string>
#include <utility>

namespace drover {

namespace {

// How often it looks whether the last reply has been given.
constexpr std::chrono::milliseconds replies_interval{20};
constexpr std::int64_t failure_interval_ms = 1000;

}  // namespace

DatagramSettings DatagramListeners::settings(const std::shared_ptr<const Configuration>& configuration,
                                             unsigned listener, Module* module, const CounterRow& counters) {
    const ListenSettings& listen = configuration->pool().listen[listener];
    const std::vector<CounterLabel> labels =
        listener_labels({configuration->pool().name, std::string(listen.address_text)});
    const auto counter = [&](const char* name) { return counters.counter(name, labels); };
    return {.listener = listener,
            .max_datagram = listen.max_datagram,
            .module = module,
            .counters = {.received = counter("drover_datagrams_received_total"),
                         .received_bytes = counter("drover_datagrams_received_bytes_total"),
                         .sent = counter("drover_datagrams_sent_total"),
                         .sent_bytes = counter("drover_datagrams_sent_bytes_total"),
                         .truncated = counter("drover_datagrams_truncated_total"),
                         .failed = counter("drover_datagrams_failed_total"),
                         .replies_dropped = counter("drover_datagram_replies_dropped_total")},
            .configuration = configuration};
}

DatagramListeners::DatagramListeners(EventLoop& loop, Log& log, Callback<void()> on_finished)
    : loop_(loop),
      log_(log),
      on_finished_(on_finished),
      replies_timer_(loop, Timer::Handler::to<&DatagramListeners::on_replies_time>(this)) {}

std::shared_ptr<DatagramSocket> DatagramListeners::open(UniqueFd socket) {
    return std::make_shared<DatagramSocket>(
        loop_, std::move(socket), buffer_,
        DatagramSocket::Handler::to<&DatagramListeners::on_datagram>(this));
}

// Whoever sends what a module cannot take must not fill the log with it.
bool DatagramListeners::on_datagram(Module* module, const Datagram& datagram) {
    try {
        module->datagram(datagram);
        return true;
    } catch (...) {
        const std::int64_t now = loop_.now_ms();
        if (now - failure_said_ms_ < failure_interval_ms) return false;
        failure_said_ms_ = now;
        log_.error("datagram: " + caught_text() + " (said once a second)");
        return false;
    }
}

void DatagramListeners::take_over(const std::vector<unsigned>& new_index, Next next) {
    for (auto& socket : sockets_) {
        const unsigned number = new_index[socket->listener()];
        if (number != ListenerNames::no_listener) {
            socket->configure(std::move(next.settings[number]));
            continue;
        }
        socket->renumber(number);
        gone_.push_back(std::exchange(socket, nullptr));
    }
    std::erase(sockets_, nullptr);
    for (unsigned i = 0; i < next.sockets.size(); ++i) {
        if (next.sockets[i] == nullptr) continue;
        next.sockets[i]->configure(std::move(next.settings[i]));
        sockets_.push_back(std::move(next.sockets[i]));
    }
}

// Their queues are gone, too, when all workers have closed them.
void DatagramListeners::finish_gone() {
    for (const auto& socket : gone_)
        socket->finish();
    if (!close_gone()) replies_timer_.start_every(replies_interval);
}

void DatagramListeners::start() {
    for (const auto& socket : sockets_)
        socket->start();
}

void DatagramListeners::finish(const std::function<bool(unsigned listener)>& others_read) {
    finishing_ = true;
    for (const auto& socket : sockets_)
        others_read(socket->listener()) ? socket->stop() : socket->finish();
    if (!settle()) replies_timer_.start_every(replies_interval);
}

// A socket that is open keeps its address in use: replies that are owed are not waited for. True when none is
// open.
bool DatagramListeners::close_gone() noexcept {
    std::erase_if(gone_, [](const auto& socket) {
        if (socket->finishing()) return false;
        socket->close();
        return true;
    });
    return gone_.empty();
}

// Closes what is done with. True when nothing is left to wait for.
bool DatagramListeners::settle() noexcept {
    if (!finishing_) return close_gone();
    for (const auto& socket : sockets_) {
        if (!socket->finishing() && !socket->owes_replies()) socket->close();
    }
    const auto closed = [](const auto& socket) { return socket->closed(); };
    return close_gone() && std::ranges::all_of(sockets_, closed);
}

void DatagramListeners::on_replies_time() {
    if (!settle()) return;
    replies_timer_.stop();
    if (finishing_) on_finished_();
}

void DatagramListeners::close() noexcept {
    for (const auto* sockets : {&sockets_, &gone_})
        for (const auto& socket : *sockets)
            socket->close();
}

std::uint32_t DatagramListeners::return_addresses() const noexcept {
    std::size_t count = 0;
    for (const auto& socket : sockets_)
        count += socket->return_addresses();
    return static_cast<std::uint32_t>(count);
}

}  // namespace drover
