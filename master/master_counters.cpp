#include "master/master_counters.h"

#include "conf/counters.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <stdexcept>
#include <utility>

#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace drover {

namespace {

constexpr std::chrono::milliseconds look_interval{1000};

std::uint32_t take_row(CounterTable& table, std::uint64_t instance) {
    const auto row = table.take_row({.instance = instance, .generation = 0, .pool = "", .slot = 0});
    if (!row) throw std::length_error("the counter table has no row for the master");
    return *row;
}

// Connections and handshakes, or datagrams, that this socket had to drop, ever (SK_MEMINFO_DROPS); the memory
// of datagrams that wait (SK_MEMINFO_RMEM_ALLOC). SO_MEMINFO, Linux 4.12.
std::uint32_t meminfo_of(int fd, int which) noexcept {
    std::uint32_t info[SK_MEMINFO_VARS] = {};
    socklen_t size = sizeof info;
    return ::getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &size) == 0 ? info[which] : 0;
}

// tcp(7): of a listening socket tcpi_unacked is the number of connections that wait to be accepted.
std::uint32_t tcp_queue_length(int fd) noexcept {
    tcp_info info{};
    socklen_t size = sizeof info;
    return ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? info.tcpi_unacked : 0;
}

// Which socket it is, as no later one will be. 0: the kernel does not tell.
std::uint64_t cookie_of(int fd) noexcept {
    std::uint64_t cookie = 0;
    socklen_t size = sizeof cookie;
    return ::getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

}  // namespace

const char* to_text(DeathCause cause) noexcept {
    switch (cause) {
        case DeathCause::exit:
            return "exit";
        case DeathCause::signal:
            return "signal";
        case DeathCause::hang:
            return "hang";
        case DeathCause::memory_limit:
            return "memory_limit";
        case DeathCause::killed:
            return "killed";
    }
    return "unknown";
}

MasterCounters::MasterCounters(EventLoop& loop, const Log& log, CounterTable& table, std::uint64_t instance)
    : log_(log),
      table_(table),
      row_(take_row(table, instance)),
      counters_(table.read_only_fd(), table.row_fd(row_), row_, instance),
      timer_(loop, Timer::Handler::to<&MasterCounters::look>(this)) {
    timer_.start_every(look_interval);
}

MasterCounters::~MasterCounters() = default;

void MasterCounters::follow(std::uint64_t generation, const std::vector<WatchedListener>& listeners) {
    constexpr std::array results{ReloadResult::ok, ReloadResult::refused, ReloadResult::rolled_back};
    for (std::size_t i = 0; i < results.size(); ++i)
        reloads_[i] = counters_.counter("drover_reloads_total", {{"result", to_text(results[i])}});
    for (std::size_t i = 0; i < std::size(deaths_); ++i) {
        deaths_[i] =
            counters_.counter("drover_worker_deaths_total", {{"cause", to_text(static_cast<DeathCause>(i))}});
    }
    starts_ = counters_.counter("drover_worker_starts_total");
    log_lost_ = counters_.counter("drover_log_lines_lost_total");
    generation_ = counters_.gauge("drover_generation");
    generation_.set(static_cast<std::int64_t>(generation));

    std::vector<Queue> before = std::exchange(queues_, {});
    for (Queue& queue : before)
        queue.waiting.set(0);
    for (const WatchedListener& watched : listeners) {
        const std::vector<CounterLabel> labels = listener_labels({watched.pool, watched.address});
        const bool udp = watched.listener->address().is_udp();
        if (watched.listener->address().takes_datagrams() && !udp) continue;
        const bool tells_drops = !watched.listener->address().is_unix();
        const char* const waiting = udp ? "drover_listener_queue_bytes" : "drover_listener_queue_connections";
        const char* const drops =
            udp ? "drover_listener_datagram_drops_total" : "drover_listener_drops_total";
        queues_.push_back({.listener = watched.listener,
                           .waiting = counters_.gauge(waiting, labels),
                           .drops = tells_drops ? counters_.counter(drops, labels) : Counter()});
        const auto known = std::ranges::find_if(
            before, [&](const Queue& queue) { return queue.listener.lock() == watched.listener; });
        if (known != before.end()) queues_.back().drops_seen = std::move(known->drops_seen);
    }
    // In this order: it counts by no other generation's columns any more.
    table_.set_row_generation(row_, generation);
    table_.set_older_generations(row_, generation, {});
}

void MasterCounters::count_reload(ReloadResult result) noexcept {
    if (result == ReloadResult::none) return;
    reloads_[static_cast<std::size_t>(result) - 1].add();
}

void MasterCounters::count_death(DeathCause cause) noexcept {
    deaths_[static_cast<std::size_t>(cause)].add();
}

void MasterCounters::look() {
    log_lost_.add(log_.lost() - log_lost_.value());
    for (Queue& queue : queues_) {
        if (const std::shared_ptr<Listener> listener = queue.listener.lock()) look_at(queue, *listener);
    }
}

void MasterCounters::look_at(Queue& queue, const Listener& listener) {
    std::int64_t waiting = 0;
    queue.drops_seen.resize(std::max<std::size_t>(queue.drops_seen.size(), listener.listening()));
    for (unsigned slot = 0; slot < listener.listening(); ++slot) {
        const int fd = listener.socket_for(slot);
        waiting += waiting_at(listener.address(), fd);
        if (!listener.address().is_unix()) count_drops(queue, slot, fd);
    }
    queue.waiting.set(waiting);
}

void MasterCounters::count_drops(Queue& queue, unsigned slot, int fd) {
    DropsSeen& seen = queue.drops_seen[slot];
    const std::uint64_t socket = cookie_of(fd);
    if (socket != seen.socket) seen = {.socket = socket};
    const std::uint32_t drops = meminfo_of(fd, SK_MEMINFO_DROPS);
    queue.drops.add(drops - seen.drops);  // of 32 bits, which may have gone round
    seen.drops = drops;
}

// Connections, or bytes of datagrams.
std::uint32_t MasterCounters::waiting_at(const Address& address, int fd) {
    if (address.is_unix()) return unix_queues_.length(fd).value_or(0);
    return address.is_udp() ? meminfo_of(fd, SK_MEMINFO_RMEM_ALLOC) : tcp_queue_length(fd);
}

}  // namespace drover
