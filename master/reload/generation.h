// Generation is one published configuration in use: its number, its pinned image, the listeners it names and
// its pools. The next one is built beside the running one; dropping it undoes all of it. Owned by the master.
// Runs in: the master.
#pragma once

#include "conf/image/image.h"
#include "conf/settings.h"
#include "core/counters/counter_table.h"
#include "master/reload/listener_registry.h"
#include "master/supervise/pool.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace drover {

// What a generation is made of, pinned: respawns and the way back use these very bytes.
struct GenerationSource {
    UniqueFd image_fd;
    Image image;
    std::vector<UniqueFd> libraries;  // sealed copies of shared libraries, in the order of the image's list

    // Throws std::system_error when no descriptor is free.
    GenerationSource duplicate() const;
};

class Generation {
  public:
    // Declares the image's counters, acquires its listeners and files; starts nothing. Throws with nothing
    // left behind: a column, an address or a file that cannot be had.
    Generation(std::uint64_t number, GenerationSource source, PoolContext& context,
               ListenerRegistry& registry, PoolObserver& observer);
    // Its workers must be gone.
    ~Generation();
    Generation(const Generation&) = delete;
    Generation& operator=(const Generation&) = delete;

    std::uint64_t number() const noexcept { return contents_->number; }
    const Image& image() const noexcept { return source().image; }
    int image_fd() const noexcept { return source().image_fd.get(); }
    const GenerationSource& source() const noexcept { return contents_->source; }
    const Settings& settings() const noexcept { return contents_->settings; }
    const std::vector<std::unique_ptr<Pool>>& pools() const noexcept { return pools_; }
    const std::vector<std::shared_ptr<const OpenedFile>>& files() const noexcept { return contents_->files; }
    Pool& first_pool() const noexcept { return *pools_.front(); }

    // A hot reload to `number`: binds what is new and asks all workers to prepare. Throws with nothing
    // changed.
    void prepare(std::uint64_t number, GenerationSource source, ListenerRegistry& registry);
    bool all_prepared() const noexcept;
    // Listens on what is new (throws ListenerError, nothing is committed then), and commits: this is the
    // next generation from then on.
    void commit();
    void abandon() noexcept;
    void replace_uncommitted();  // those that prepared, and then did not
    bool all_committed() const noexcept;

    void start();
    bool all_ready() const noexcept;
    // Begins to listen on what is new, applies the listeners' options, opens the gates. Throws ListenerError
    // before any gate is open.
    void serve();
    void retire(int signal);
    // Tries again to get the sockets that its listeners lack (ListenerRegistry::acquire). Throws
    // ListenerError, with everything as it was, when one cannot be had.
    void renew_listeners(ListenerRegistry& registry);
    // `next` serves: addresses that it does not have get nothing new.
    void make_room_for(const Generation& next);
    // Another one serves in its place.
    void make_way();
    // Its workers give their connections to those of the same pool in `next`.
    void hand_over_to(const Generation& next);
    // The same to one worker of it.
    void hand_over_to(const Pool& successor, WorkerProcess& newcomer);
    Pool* find_pool(std::string_view name) const noexcept;
    bool any_accepting() const noexcept;
    // A pool has another number of workers than its settings say (TTIN, TTOU).
    bool resized() const noexcept;
    bool empty() const noexcept;  // no process is left
    void kill_accepting();
    void retire_sockets();
    void hold_sockets() noexcept;
    void steer();
    void drop_idle_sockets();
    void refuse_new();
    // The master's copies of the listening sockets: nobody new gets a connection once the workers have closed
    // theirs.
    void release_listeners() noexcept;
    void retry_given_up();  // slots

    bool on_exit(pid_t pid, const ExitReport& report);
    void on_standstill(const Standstill& change);
    void send_log_files();
    void append_log_laggards(std::vector<std::string>& names) const;
    // "generation 3: 2 workers with 17 connections", after a comma if there is text already; nothing when
    // none drains.
    void append_drain_progress(std::string& text) const;
    void append_status(std::vector<WorkerStatus>& lines) const;
    std::string listening_text() const;  // "127.0.0.1:8080 (http), ..."
    std::chrono::milliseconds longest_drain() const noexcept;

  private:
    // One configuration with what it needs; the settings' texts lie in the image.
    struct Contents {
        // Throws std::runtime_error for a file that cannot be opened, with its place in the configuration.
        Contents(std::uint64_t number, GenerationSource source, FileRegistry& registry);
        Pool::Origin origin(const PoolSettings& pool) const;

        std::uint64_t number;
        GenerationSource source;
        Settings settings;
        std::vector<std::shared_ptr<const OpenedFile>> files;  // one for each of settings.files
    };
    std::vector<ListenerUse> listener_uses(
        const std::function<std::vector<ListenerUse>(const Pool&)>& of) const;
    void turn_away_all_but(const std::vector<ListenerUse>& uses);
    using PoolListeners = std::vector<std::shared_ptr<Listener>>;
    static PoolListeners acquire(const Contents& contents, const PoolSettings& pool,
                                 ListenerRegistry& registry);

    std::unique_ptr<Contents> contents_;
    std::unique_ptr<Contents> next_;  // while a hot reload is prepared
    CounterTable& counters_;
    FileRegistry& files_;
    std::vector<std::unique_ptr<Pool>> pools_;
};

}  // namespace drover
