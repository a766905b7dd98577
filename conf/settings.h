// Settings are the options that Drover itself has: the master's, each pool's, each listener's. Loaded from an
// image once per generation. Runs in: master and worker; declared for the config reader.
#pragma once

#include "conf/counters.h"
#include "conf/image/image.h"
#include "conf/options/options.h"
#include "core/log/log.h"
#include "core/net/address.h"
#include "core/net/listener.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace drover {

inline constexpr std::size_t max_pools = 64;
inline constexpr int max_generations_limit = 64;  // of the option

// How a new generation proves itself: with more than `deaths` of its workers dead or hanging within `time_ms`
// of the reload, the master goes back to the generation before it.
struct ProbationSettings {
    unsigned deaths = 0;       // 3
    std::int64_t time_ms = 0;  // 10s; 0: off

    static const Options<ProbationSettings>& options();
};

struct MasterSettings {
    enum class Reload { automatic, fresh };

    std::string_view runtime_dir;         // "run"; Apply::restart
    std::string_view log_file;            // "stderr"
    LogLevel log_level = LogLevel::info;  // debug info warning error critical
    LogFormat log_format = LogFormat::text;
    std::string_view user;                      // "": stay; Apply::fresh
    std::vector<std::string_view> environment;  // "NAME", "NAME=value"; Apply::fresh
    std::int64_t prepare_timeout_ms = 0;        // 1s
    Reload reload = Reload::automatic;          // "auto", "fresh"
    unsigned max_generations = 0;               // 8, 2 to max_generations_limit; alive at a time
    unsigned counters = 0;                      // cells of the counter table, 65536; Apply::restart
    ProbationSettings probation;

    static const Options<MasterSettings>& options();
};

struct ListenSettings {
    std::string_view address_text;  // key "address", required
    std::string_view place;         // "FILE:LINE:COLUMN: pool.main.listen[0].address"; not a key
    std::string_view module;        // key "module", required; one of the pool's modules
    Address address;                // what address_text means; filled by Settings::load
    ListenerOptions listener;       // the keys below put together; filled by Settings::load
    Balance balance = Balance::reuseport;
    int backlog = 0;  // 4096, 1 to 65535
    bool nodelay = true;
    std::int64_t defer_accept_ms = 0;  // "off" = 0; whole seconds, up to 60s
    bool keepalive = false;
    std::int64_t keepalive_idle_ms = 0;      // word "system" = 0
    std::int64_t keepalive_interval_ms = 0;  // word "system" = 0
    int keepalive_count = 0;                 // word "system" = 0
    bool ipv6_only = true;
    bool freebind = false;
    bool optional = false;
    std::string_view unix_mode;   // "0666", octal text
    std::string_view unix_owner;  // decimal: the config reader has looked names up; empty: none
    std::string_view unix_group;
    std::uint64_t receive_buffer = 0;  // bytes, 4096 to 1G; word "system" = 0; udp alone
    std::size_t max_datagram = 0;      // bytes, 64K, 512 to 64K; udp alone

    static const Options<ListenSettings>& options();
};

// How the dead are replaced: at once up to `burst` early deaths a minute in a slot, then after a delay that
// doubles.
struct RespawnSettings {
    unsigned burst = 0;
    std::int64_t delay_ms = 0;
    std::int64_t max_delay_ms = 0;

    static const Options<RespawnSettings>& options();
};

// When a healthy worker is replaced; each of these is drawn up to a tenth higher for each worker. 0: off.
struct RecycleSettings {
    std::uint64_t connections = 0;  // accepted by it
    std::uint64_t memory = 0;       // resident bytes
    std::int64_t age_ms = 0;

    static const Options<RecycleSettings>& options();
};

// Of a pool.
inline constexpr unsigned max_workers = 1024;

struct PoolSettings {
    std::string name;
    unsigned workers = 0;                   // after loading 1 to max_workers
    std::vector<std::string_view> modules;  // after loading names only, no paths of libraries
    std::uint64_t max_connections = 0;      // per worker, 16384; 1 to 1048576
    std::int64_t drain_timeout_ms = 0;      // 30s, 0 to 1d
    std::int64_t handover_timeout_ms = 0;   // 30s, 0 to 1d
    std::int64_t start_timeout_ms = 0;      // 10s
    std::int64_t report_interval_ms = 0;    // 1s, 10ms to 60s
    std::int64_t hang_timeout_ms = 0;       // 10s; 0: off
    std::size_t max_blocking_jobs = 0;      // 1024, 1 to 1,000,000
    unsigned threads = 0;                   // 4, 1 to 64; of a worker, for blocking work
    unsigned min_healthy = 0;               // 1; with fewer that serve, the service is degraded
    std::uint64_t memory_limit = 0;         // resident bytes of a worker; 0: off
    std::uint64_t open_files_limit = 0;     // RLIMIT_NOFILE; 0: as the master has it
    std::uint64_t core_limit = 0;           // RLIMIT_CORE, bytes; 0: as the master has it
    std::string_view cpu_affinity;          // "off", "auto", "0-3,8"; parse_cpu_affinity
    int nice = 0;                           // -20 to 19; 0: as the master has it
    bool observes = false;                  // workers see everything (worker/module/master_view.h)
    RecycleSettings recycle;
    RespawnSettings respawn;
    std::vector<ListenSettings> listen;  // addresses and listener options already put together

    static const Options<PoolSettings>& options();
};

// A shared library that a pool's modules name, and the module that it makes.
struct LibrarySettings {
    std::string_view path;  // as the file has it
    std::string_view module;
};

// Where a module writes lines to, and the master opens (core/log/log_target.h).
struct FileSettings {
    std::string path;       // absolute; or another name of a target
    std::string_view text;  // as the file has it
    std::string_view module;
    std::string_view place;  // "FILE:LINE:COLUMN: module.http.access_log"
};
constexpr std::size_t max_files = 64;

struct Settings {
    std::string config_path;        // absolute
    std::string directory;          // of the file; relative paths start here
    std::string_view auto_workers;  // "2: ...", what workers = "auto" means, and why; empty: no pool has it
    MasterSettings master;
    std::vector<PoolSettings> pools;  // in the file's order
    std::vector<LibrarySettings> libraries;
    std::vector<FileSettings> files;

    // From a verified image. Throws std::runtime_error when the image is not one of ours (a key is missing or
    // of another type).
    static Settings load(const Image& image);

    const PoolSettings* find_pool(std::string_view name) const noexcept;
    // master.log_file with an absolute path.
    std::string log_target() const { return absolute_log_target(master.log_file, std::string(directory)); }
    // Relative ones start at the file's directory.
    std::string absolute_path(std::string_view path) const;
    std::string runtime_dir() const { return absolute_path(master.runtime_dir); }
};

// [a-z0-9_-]{1,63}
bool valid_pool_name(std::string_view name) noexcept;
// "udp:..." or "unixgram:...".
bool is_datagram_address(std::string_view address) noexcept;
// The addresses that a listener's address stands for: "localhost:80" for 127.0.0.1 and, where there is IPv6,
// ::1; any other for itself.
std::vector<std::string> listener_places(std::string_view address);
// "0660" to its mode; none when it is not three or four octal digits.
std::optional<unsigned> parse_unix_mode(std::string_view text) noexcept;
// "33" to the id of a user or group; none when it is not a number below 4294967295.
std::optional<std::uint32_t> parse_id(std::string_view text) noexcept;
// The processors that a list like "0-3,8" names, in its order; none when it is no such list, names one twice
// or one above 1023.
std::optional<std::vector<unsigned>> parse_processor_list(std::string_view text);

}  // namespace drover
