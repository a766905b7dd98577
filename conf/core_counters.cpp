// The counters of core itself. Workers count them, and the master in a row of its own.
#include "conf/counters.h"
#include "conf/options/value_text.h"
#include "conf/settings.h"

namespace drover {

namespace {

constexpr std::uint32_t micro = 1'000'000;
constexpr std::uint32_t milli = 1000;

std::vector<CounterDeclaration> worker_counters() {
    const auto counter = CounterKind::counter;
    const auto gauge = CounterKind::gauge;
    std::vector<CounterDeclaration> counters{
        {"drover_connections_accepted_total", counter, "connections", "Connections accepted."},
        {"drover_connections_active", gauge, "connections", "Connections open now."},
        {"drover_connections_handed_over_total", counter, "connections",
         "Connections given to another worker."},
        {"drover_connections_displaced_total", counter, "connections",
         "Idle connections closed for new ones because every worker of the pool held max_connections."},
        {"drover_connections_refused_total", counter, "connections",
         "Connections closed at once because the worker could not take them."},
        {"drover_received_bytes_total", counter, "bytes", "Bytes read from connections."},
        {"drover_sent_bytes_total", counter, "bytes", "Bytes written to connections."},
        {"drover_blocking_jobs_total", counter, "jobs", "Jobs of modules that blocking threads have done."},
        {"drover_blocking_jobs_refused_total", counter, "jobs",
         "Jobs refused because max_blocking_jobs ran or waited."},
        {"drover_blocking_jobs_active", gauge, "jobs", "Jobs that run on blocking threads or wait for one."},
        {"drover_log_lines_lost_total", counter, "lines",
         "Lines that the log did not take: its disk is full, or its reader too slow."},
    };
    counters.push_back({.name = "drover_worker_cpu_seconds_total",
                        .kind = counter,
                        .unit = "seconds",
                        .help = "Processor time of workers, user and system, as last reported.",
                        .per_unit = micro});
    const auto of_worker = [&](const char* name, const char* unit, const char* help,
                               std::uint32_t per_unit = 1) {
        counters.push_back({.name = name,
                            .kind = gauge,
                            .unit = unit,
                            .help = help,
                            .per_unit = per_unit,
                            .scope = CounterScope::worker});
    };
    of_worker("drover_worker_loop_lag_seconds", "seconds",
              "The longest that the event loop was late in the last report's interval.", micro);
    of_worker("drover_worker_busy_ratio", "ratio",
              "Share of the last report's interval that the worker used a processor.", milli);
    of_worker("drover_worker_resident_bytes", "bytes", "Resident memory.");
    of_worker("drover_worker_open_fds", "fds", "Descriptors open.");
    of_worker("drover_worker_generation", "", "The generation that the worker serves.");
    return counters;
}

void add_master_counters(std::vector<CounterDeclaration>& counters) {
    const auto labelled = [&](const char* name, const char* unit, const char* help, const char* label,
                              std::initializer_list<const char*> values) {
        for (const char* const value : values) {
            counters.push_back({.name = name, .unit = unit, .help = help, .labels = {{label, value}}});
        }
    };
    counters.push_back(
        {.name = "drover_generation", .kind = CounterKind::gauge, .help = "The generation that serves."});
    labelled("drover_reloads_total", "reloads", "Reloads that came to a verdict.", "result",
             {"ok", "refused", "rolled_back"});
    counters.push_back({.name = "drover_worker_starts_total", .unit = "workers", .help = "Workers started."});
    labelled("drover_worker_deaths_total", "workers", "Workers that ended otherwise than told to.", "cause",
             {"exit", "signal", "hang", "memory_limit", "killed"});
}

void add_datagram_counters(std::vector<CounterDeclaration>& counters,
                           const std::vector<CounterLabel>& labels) {
    const auto total = [&](const char* name, const char* unit, const char* help) {
        counters.push_back({.name = name, .unit = unit, .help = help, .labels = labels});
    };
    total("drover_datagrams_received_total", "datagrams", "Datagrams given to the module.");
    total("drover_datagrams_received_bytes_total", "bytes", "Bytes of the datagrams given to the module.");
    total("drover_datagrams_sent_total", "datagrams", "Replies sent.");
    total("drover_datagrams_sent_bytes_total", "bytes", "Bytes of the replies sent.");
    total("drover_datagrams_truncated_total", "datagrams", "Datagrams dropped: longer than max_datagram.");
    total("drover_datagrams_failed_total", "datagrams", "Datagrams whose module threw an exception.");
    total("drover_datagram_replies_dropped_total", "datagrams",
          "Replies dropped: the socket took no more and enough waited already, the kernel refused them, or "
          "they still waited when the socket was closed.");
}

// Of datagrams over a unix socket the kernel tells nothing: their senders wait.
void add_udp_queue(std::vector<CounterDeclaration>& counters, const std::vector<CounterLabel>& labels) {
    counters.push_back(
        {.name = "drover_listener_datagram_drops_total",
         .unit = "datagrams",
         .help = "Datagrams that the kernel dropped, mostly because the receive buffer was full.",
         .labels = labels});
    counters.push_back({.name = "drover_listener_queue_bytes",
                        .kind = CounterKind::gauge,
                        .unit = "bytes",
                        .help = "Memory of datagrams that wait on a udp listener's socket.",
                        .labels = labels});
}

}  // namespace

std::vector<CounterLabel> listener_labels(const ListenerName& listener) {
    constexpr std::size_t longest_address = 150;  // what labels have room for
    return {{"pool", listener.pool}, {"listener", cut_text(listener.address, longest_address)}};
}

std::vector<CounterDeclaration> core_counters(const std::vector<ListenerName>& listeners) {
    std::vector<CounterDeclaration> counters = worker_counters();
    add_master_counters(counters);
    for (const ListenerName& listener : listeners) {
        const std::vector<CounterLabel> labels = listener_labels(listener);
        if (is_datagram_address(listener.address)) {
            add_datagram_counters(counters, labels);
            if (listener.address.starts_with("udp:")) add_udp_queue(counters, labels);
            continue;
        }
        counters.push_back({.name = "drover_listener_queue_connections",
                            .kind = CounterKind::gauge,
                            .unit = "connections",
                            .help = "Connections that wait to be accepted.",
                            .labels = labels});
        if (listener.address.starts_with("unix:")) continue;  // the kernel does not count what it drops there
        counters.push_back({.name = "drover_listener_drops_total",
                            .unit = "connections",
                            .help = "Connections and handshakes that the kernel dropped, mostly because the "
                                    "queue was full.",
                            .labels = labels});
    }
    return counters;
}

}  // namespace drover
