// A worker's udp listeners. All workers of the pool read the same sockets: one that leaves stops reading, and
// what waits is read by another.
#include "conf/counters.h"
#include "core/base/system_error.h"
#include "worker/worker.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

namespace drover {

namespace {

// How often a worker that drains looks whether the last reply has been given.
constexpr std::chrono::milliseconds replies_interval{20};
constexpr std::int64_t failure_interval_ms = 1000;

}  // namespace

// The configuration was checked; an image is not trusted.
void Worker::check_takes(const Module* module, const ListenSettings& listen) {
    if (module == nullptr)
        throw std::runtime_error("a listener names a module that the worker does not have");
    const Takes takes = module->takes();
    if (!(listen.address.takes_datagrams() ? takes.datagrams : takes.connections))
        throw std::runtime_error("a listener names a module that does not take what comes there");
}

DatagramCounters Worker::datagram_counters(const ListenSettings& listen) const {
    const std::vector<CounterLabel> labels =
        listener_labels({identity_.pool, std::string(listen.address_text)});
    const auto counter = [&](const char* name) { return counters_->counter(name, labels); };
    return {.received = counter("drover_datagrams_received_total"),
            .received_bytes = counter("drover_datagrams_received_bytes_total"),
            .sent = counter("drover_datagrams_sent_total"),
            .sent_bytes = counter("drover_datagrams_sent_bytes_total"),
            .truncated = counter("drover_datagrams_truncated_total"),
            .failed = counter("drover_datagrams_failed_total"),
            .replies_dropped = counter("drover_datagram_replies_dropped_total")};
}

DatagramSettings Worker::datagram_settings(const std::shared_ptr<const Configuration>& configuration,
                                           unsigned listener) const {
    const ListenSettings& listen = configuration->pool().listen[listener];
    return {.listener = listener,
            .max_datagram = listen.max_datagram,
            .module = modules_->find(listen.module),
            .counters = datagram_counters(listen),
            .configuration = configuration};
}

std::shared_ptr<DatagramSocket> Worker::make_datagram_socket(UniqueFd socket) {
    return std::make_shared<DatagramSocket>(loop_, std::move(socket), datagram_buffer_,
                                            DatagramSocket::Handler::to<&Worker::on_datagram>(this));
}

// Whoever sends what a module cannot take must not fill the log with it.
bool Worker::on_datagram(Module* module, const Datagram& datagram) {
    try {
        module->datagram(datagram);
        return true;
    } catch (...) {
        const std::int64_t now = loop_.now_ms();
        if (now - datagram_failure_said_ms_ < failure_interval_ms) return false;
        datagram_failure_said_ms_ = now;
        log_.error("datagram: " + caught_text() + " (said once a second)");
        return false;
    }
}

// A successor, or the others of the pool, read on.
void Worker::finish_datagrams() {
    for (const auto& socket : datagram_sockets_) {
        giver_ != nullptr && !ends(socket->listener()) ? socket->stop() : socket->finish();
    }
    if (!close_answered_sockets()) replies_timer_.start_every(replies_interval);
}

// Their listeners are gone, and so are their queues when all workers have closed them.
void Worker::finish_gone_datagrams() {
    for (const auto& socket : gone_sockets_)
        socket->finish();
    if (!close_gone_sockets()) replies_timer_.start_every(replies_interval);
}

// A socket that is open keeps its address in use: replies that are owed are not waited for. True when none
// is.
bool Worker::close_gone_sockets() noexcept {
    std::erase_if(gone_sockets_, [](const auto& socket) {
        if (socket->finishing()) return false;
        socket->close();
        return true;
    });
    return gone_sockets_.empty();
}

// True when none is open.
bool Worker::close_answered_sockets() noexcept {
    for (const auto& socket : datagram_sockets_) {
        if (!socket->finishing() && !socket->owes_replies()) socket->close();
    }
    const auto closed = [](const auto& socket) { return socket->closed(); };
    return close_gone_sockets() && std::ranges::all_of(datagram_sockets_, closed);
}

void Worker::on_replies_time() {
    const bool draining = state_ == WorkerState::draining;
    if (draining ? !close_answered_sockets() : !close_gone_sockets()) return;
    replies_timer_.stop();
    if (draining) leave_when_done();
}

void Worker::close_datagrams() noexcept {
    for (const auto& socket : datagram_sockets_)
        socket->close();
    for (const auto& socket : gone_sockets_)
        socket->close();
}

std::uint32_t Worker::return_addresses() const noexcept {
    std::size_t count = 0;
    for (const auto& socket : datagram_sockets_)
        count += socket->return_addresses();
    return static_cast<std::uint32_t>(count);
}

}  // namespace drover
