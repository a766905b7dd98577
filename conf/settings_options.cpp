// The declarations of Drover's own keys. Their order is that of the reference and of the schema.
#include "conf/settings.h"

namespace drover {

namespace {

constexpr std::int64_t second = 1000;
constexpr std::int64_t minute = 60 * second;
constexpr std::int64_t day = 24 * 60 * minute;

// What the kernel takes: tcp(7), MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL, MAX_TCP_KEEPCNT.
constexpr std::int64_t longest_keepalive = 32767 * second;
constexpr std::int64_t most_keepalive_probes = 127;

constexpr std::int64_t longest_datagram = 64 * 1024;

IntegerRule keepalive_rule(std::int64_t min, std::int64_t max) {
    return {.min = min, .max = max, .word = "system", .fallback_is_word = true};
}

Options<ProbationSettings> probation_options() {
    Options<ProbationSettings> options("How a new generation proves itself after a reload.");
    options
        .integer("deaths", &ProbationSettings::deaths, {.fallback = 3, .min = 0, .max = 1'000'000},
                 Apply::hot,
                 "With more workers of the new generation dead or hanging, the master goes back to the "
                 "generation before it.")
        .duration("time", &ProbationSettings::time_ms,
                  {.fallback = 10 * second, .min = 100, .max = 60 * minute, .word = "off"}, Apply::hot,
                  "How long a new generation is on probation.");
    return options;
}

Options<MasterSettings> master_options() {
    using Reload = MasterSettings::Reload;
    Options<MasterSettings> options("What concerns the master and every process.");
    options
        .text("runtime_dir", &MasterSettings::runtime_dir, {.fallback = "run", .allow_empty = false},
              Apply::restart,
              "Directory of the pid file and the control socket; made when it is missing. A relative "
              "path starts at the directory of this file. The command line finds the master by it.")
        .text("log_file", &MasterSettings::log_file, {.fallback = "stderr", .allow_empty = false}, Apply::hot,
              "Where all processes write their log: \"stdout\", \"stderr\"; a file; \"journal\", "
              "systemd's, with fields (\"journal:PATH\": at another socket); \"fifo:PATH\", a FIFO, made "
              "when it is missing, that a collector reads. SIGUSR1 and `drover reopen` open it again.")
        .choice("log_level", &MasterSettings::log_level,
                {{"debug", LogLevel::debug},
                 {"info", LogLevel::info},
                 {"warning", LogLevel::warning},
                 {"error", LogLevel::error},
                 {"critical", LogLevel::critical}},
                LogLevel::info, Apply::hot, "The least level that is logged.")
        .choice("log_format", &MasterSettings::log_format,
                {{"text", LogFormat::text}, {"json", LogFormat::json}}, LogFormat::text, Apply::hot,
                "Lines for people, or one JSON object a line for machines.")
        .text("user", &MasterSettings::user, {.fallback = "", .max_size = 256}, Apply::fresh,
              "User that workers and module checks run as when the master was started as root: a name or "
              "a number, \"USER:GROUP\" for another group than the user's own. They have the user's "
              "supplementary groups; a number without an entry in the user database has none, and the "
              "group of the same number. Empty: they stay as they are.")
        .texts("environment", &MasterSettings::environment, {}, Apply::fresh,
               "Environment variables of workers and module checks: \"NAME=value\" sets one. As another "
               "user than the master they have none of its own but PATH, LANG, LC_*, TZ and those named "
               "here as \"NAME\"; HOME is the user's. Values are not shown where the configuration is.",
               64, Masking::after_name)
        .duration(
            "prepare_timeout", &MasterSettings::prepare_timeout_ms,
            {.fallback = second, .min = 10, .max = minute}, Apply::hot,
            "How long running workers may take to prepare a hot reload; one that does not answer in time is "
            "replaced.")
        .choice("reload", &MasterSettings::reload, {{"auto", Reload::automatic}, {"fresh", Reload::fresh}},
                Reload::automatic, Apply::hot,
                "With \"auto\", workers keep running when a change allows it; with \"fresh\", every "
                "reload starts new ones.")
        .integer("max_generations", &MasterSettings::max_generations,
                 {.fallback = 8, .min = 2, .max = max_generations_limit}, Apply::hot,
                 "Generations that may be alive at a time, the draining ones included; a reload that would "
                 "make more is refused. In a worker, one that modules whose options have not changed have "
                 "theirs from is not counted.")
        .integer("counters", &MasterSettings::counters, {.fallback = 65536, .min = 512, .max = 262144},
                 Apply::restart,
                 "Room for counters: one or gauge takes one cell, a histogram some two hundred, for each of "
                 "its labels' values. What is not used costs no memory.")
        .table("probation", &MasterSettings::probation, ProbationSettings::options(), Apply::hot,
               "How a new generation proves itself after a reload.");
    return options;
}

Options<ListenSettings> listen_options() {
    Options<ListenSettings> options("One listening address of the pool.");
    options
        .text("address", &ListenSettings::address_text,
              {.max_size = 256, .required = true, .allow_empty = false}, Apply::hot,
              "Where to listen: \"127.0.0.1:8080\", \"[::]:8080\", \"*:8080\", \"unix:run/web.sock\", "
              "\"unix:@name\", \"udp:127.0.0.1:5353\", \"udp:[::]:53\", \"unixgram:run/log.sock\" for "
              "datagrams. Port 0 lets the kernel choose. \"localhost:8080\" is two listeners, on "
              "127.0.0.1 and, where there is IPv6, on ::1; other host names are not looked up.")
        .text("module", &ListenSettings::module, {.max_size = 256, .required = true, .allow_empty = false},
              Apply::hot,
              "The module that is given the connections, or the datagrams; one of the pool's modules.")
        .choice(
            "balance", &ListenSettings::balance,
            {{"reuseport", Balance::reuseport}, {"shared", Balance::shared}}, Balance::reuseport, Apply::hot,
            "With \"reuseport\" each worker has a socket of its own and the kernel spreads connections; with "
            "\"shared\" all accept from one. Unix and udp sockets are always shared.")
        .integer("backlog", &ListenSettings::backlog, {.fallback = 4096, .min = 1, .max = 65535}, Apply::hot,
                 "Connections that may wait to be accepted; the system's net.core.somaxconn caps it.")
        .boolean("nodelay", &ListenSettings::nodelay, true, Apply::hot,
                 "Send small pieces at once (TCP_NODELAY).")
        .duration(
            "defer_accept", &ListenSettings::defer_accept_ms,
            {.min = 0, .max = minute, .word = "off", .fallback_is_word = true}, Apply::hot,
            "Hold a connection in the kernel until it has sent something, for this long; whole seconds.")
        .boolean("keepalive", &ListenSettings::keepalive, false, Apply::hot,
                 "Let the kernel probe silent connections (SO_KEEPALIVE).")
        .duration("keepalive_idle", &ListenSettings::keepalive_idle_ms,
                  keepalive_rule(second, longest_keepalive), Apply::hot,
                  "Silence before the first probe; whole seconds.")
        .duration("keepalive_interval", &ListenSettings::keepalive_interval_ms,
                  keepalive_rule(second, longest_keepalive), Apply::hot,
                  "Time between two probes; whole seconds.")
        .integer("keepalive_count", &ListenSettings::keepalive_count,
                 keepalive_rule(1, most_keepalive_probes), Apply::hot,
                 "Unanswered probes after which a connection is dead.")
        .boolean("ipv6_only", &ListenSettings::ipv6_only, true, Apply::hot,
                 "An IPv6 address takes no IPv4 connections (IPV6_V6ONLY).")
        .boolean("freebind", &ListenSettings::freebind, false, Apply::hot,
                 "Listen on an address that the machine does not have yet (IP_FREEBIND).")
        .boolean(
            "optional", &ListenSettings::optional, false, Apply::hot,
            "Where the address cannot be had the service goes without it, with a warning, and tries again "
            "at each reload.")
        .text("unix_mode", &ListenSettings::unix_mode,
              {.fallback = "0666", .max_size = 4, .allow_empty = false}, Apply::hot,
              "Permissions of a unix socket's path, in octal.")
        .text(
            "unix_owner", &ListenSettings::unix_owner, {.fallback = "", .max_size = 256}, Apply::hot,
            "Owner of a unix socket's path, a user's name or number; empty: the master's user. Only root may "
            "give it to another.")
        .text(
            "unix_group", &ListenSettings::unix_group, {.fallback = "", .max_size = 256}, Apply::hot,
            "Group of a unix socket's path, a name or number; empty: the master's. A master that is not root "
            "may name groups of its own.")
        .size("receive_buffer", &ListenSettings::receive_buffer,
              {.min = 4096, .max = 1 << 30, .word = "system", .fallback_is_word = true}, Apply::hot,
              "Memory for datagrams that wait on a udp socket (SO_RCVBUF); the system's net.core.rmem_max "
              "caps it unless the master has CAP_NET_ADMIN.")
        .size("max_datagram", &ListenSettings::max_datagram,
              {.fallback = longest_datagram, .min = 512, .max = longest_datagram}, Apply::hot,
              "The longest datagram that is taken; longer ones are counted and dropped.");
    return options;
}

Options<RespawnSettings> respawn_options() {
    Options<RespawnSettings> options("How dead workers are replaced.");
    options
        .integer(
            "burst", &RespawnSettings::burst, {.fallback = 5, .min = 0, .max = 1000}, Apply::hot,
            "Early deaths in one slot (within 1s of being ready, or before) that a minute may have before "
            "replacement waits.")
        .duration("delay", &RespawnSettings::delay_ms, {.fallback = 100, .min = 10, .max = minute},
                  Apply::hot,
                  "The first wait; each further early death doubles it, a minute of health ends it.")
        .duration("max_delay", &RespawnSettings::max_delay_ms,
                  {.fallback = 30 * second, .min = 10, .max = 60 * minute}, Apply::hot, "The longest wait.");
    return options;
}

Options<RecycleSettings> recycle_options() {
    Options<RecycleSettings> options(
        "When a healthy worker is replaced by a new one, which takes its connections over; one slot of a "
        "pool at a time, and each limit up to a tenth higher, drawn for each worker.");
    options
        .integer("connections", &RecycleSettings::connections,
                 {.min = 1, .word = "off", .fallback_is_word = true}, Apply::hot,
                 "After it has accepted so many connections.")
        .size("memory", &RecycleSettings::memory,
              {.min = 1024 * 1024, .word = "off", .fallback_is_word = true, .resource = Resource::memory},
              Apply::hot,
              "When it has so much resident memory; \"auto\" and shares as memory_limit has them.")
        .duration("age", &RecycleSettings::age_ms,
                  {.min = second, .max = 365 * day, .word = "off", .fallback_is_word = true}, Apply::hot,
                  "When it is so old.");
    return options;
}

Options<PoolSettings> pool_options() {
    constexpr std::int64_t most_connections = 1048576;
    constexpr std::size_t most_listeners = 128;
    Options<PoolSettings> options(
        "A named set of like workers. NAME is made of a to z, 0 to 9, '_' and '-'.");
    options
        .integer(
            "workers", &PoolSettings::workers,
            {.min = 1,
             .max = max_workers,
             .word = "auto",
             .fallback_is_word = true,
             .resource = Resource::processors},
            Apply::hot,
            "Number of worker processes; \"auto\" is one for each processor that the master may run on, or "
            "fewer where its control group has a quota of processor time.")
        .texts("modules", &PoolSettings::modules, {}, Apply::fresh, "The modules that each worker runs.")
        .integer("max_connections", &PoolSettings::max_connections,
                 {.fallback = 16384, .min = 1, .max = most_connections}, Apply::hot,
                 "Connections that one worker holds at a time; beyond it new ones go to other workers, "
                 "and when all are full take the place of idle ones, or wait in the kernel.")
        .duration("drain_timeout", &PoolSettings::drain_timeout_ms,
                  {.fallback = 30 * second, .min = 0, .max = day}, Apply::hot,
                  "How long a worker that leaves may finish its connections before they are closed.")
        .duration("handover_timeout", &PoolSettings::handover_timeout_ms,
                  {.fallback = 30 * second, .min = 0, .max = day}, Apply::hot,
                  "How long a worker that leaves may give connections to other workers; then they drain.")
        .duration("start_timeout", &PoolSettings::start_timeout_ms,
                  {.fallback = 10 * second, .min = 10, .max = 60 * minute}, Apply::hot,
                  "How long a new worker may take to be ready; a reload fails when one takes longer.")
        .duration("report_interval", &PoolSettings::report_interval_ms,
                  {.fallback = second, .min = 10, .max = minute}, Apply::hot,
                  "How often a worker reports its heartbeat and load to the master.")
        .duration(
            "hang_timeout", &PoolSettings::hang_timeout_ms,
            {.fallback = 10 * second, .min = second, .max = day, .word = "off"}, Apply::hot,
            "A worker that has not reported for this long is ended and replaced; \"off\" for debuggers.")
        .integer(
            "threads", &PoolSettings::threads, {.fallback = 4, .min = 1, .max = 64}, Apply::fresh,
            "Threads that a worker may have for work of its modules that blocks; they start when they are "
            "needed.")
        .integer("max_blocking_jobs", &PoolSettings::max_blocking_jobs,
                 {.fallback = 1024, .min = 1, .max = 1'000'000}, Apply::fresh,
                 "So many jobs run on a worker's threads or wait for one; more are refused, and counted.")
        .integer("min_healthy", &PoolSettings::min_healthy, {.fallback = 1, .min = 1, .max = max_workers},
                 Apply::hot, "With fewer workers that serve, the service is degraded.")
        .size(
            "memory_limit", &PoolSettings::memory_limit,
            {.min = 1024 * 1024, .word = "off", .fallback_is_word = true, .resource = Resource::memory},
            Apply::hot,
            "Resident memory of a worker: from nine tenths of it the worker is recycled, above it killed. A "
            "share is one of the control group's limit, or of the machine's memory; \"auto\" is nine "
            "tenths of that, divided by the number of workers of all pools.")
        .integer("open_files_limit", &PoolSettings::open_files_limit,
                 {.min = 128, .max = 1 << 30, .word = "system", .fallback_is_word = true}, Apply::fresh,
                 "Descriptors that a worker may have (RLIMIT_NOFILE); \"system\": as many as the master may.")
        .size("core_limit", &PoolSettings::core_limit,
              {.min = 4096, .word = "system", .fallback_is_word = true}, Apply::fresh,
              "Size of the core that a worker may leave (RLIMIT_CORE); \"system\": as the master has it.")
        .text(
            "cpu_affinity", &PoolSettings::cpu_affinity,
            {.fallback = "off", .max_size = 1024, .allow_empty = false}, Apply::fresh,
            "\"auto\" binds each worker to one of the processors that the master may run on, in turn; a list "
            "like \"0-3,8\" to one of these.")
        .integer("nice", &PoolSettings::nice, {.min = -20, .max = 19}, Apply::fresh,
                 "Scheduling priority of workers, from -20, the most favoured, to 19; below 0 needs root.")
        .boolean("observes", &PoolSettings::observes, false, Apply::fresh,
                 "The pool's workers see the counters of all workers and are told the master's events, so "
                 "that their modules can show them.")
        .table("recycle", &PoolSettings::recycle, RecycleSettings::options(), Apply::hot,
               "When healthy workers are replaced.")
        .table("respawn", &PoolSettings::respawn, RespawnSettings::options(), Apply::hot,
               "How dead workers are replaced.")
        .tables("listen", &PoolSettings::listen, ListenSettings::options(), most_listeners, Apply::hot,
                "The addresses that the pool's workers accept connections on.");
    return options;
}

}  // namespace

const Options<ProbationSettings>& ProbationSettings::options() {
    static const Options<ProbationSettings> table = probation_options();
    return table;
}

const Options<RecycleSettings>& RecycleSettings::options() {
    static const Options<RecycleSettings> table = recycle_options();
    return table;
}

const Options<MasterSettings>& MasterSettings::options() {
    static const Options<MasterSettings> table = master_options();
    return table;
}

const Options<ListenSettings>& ListenSettings::options() {
    static const Options<ListenSettings> table = listen_options();
    return table;
}

const Options<RespawnSettings>& RespawnSettings::options() {
    static const Options<RespawnSettings> table = respawn_options();
    return table;
}

const Options<PoolSettings>& PoolSettings::options() {
    static const Options<PoolSettings> table = pool_options();
    return table;
}

}  // namespace drover
