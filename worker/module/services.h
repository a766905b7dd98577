// Services are what a worker gives its modules: the loop, the log, counters, time limits, and what the
// configuration says of the pool. Owned by the worker; alive from before Module::start until after
// Module::stop. Runs in: worker.
#pragma once

#include <cstdint>
#include <memory>

namespace drover {

class BlockingPool;
class Configuration;
class ConnectionList;
class CounterRow;
class DeadlineWheel;
class EventLoop;
class Log;
class Mailbox;
class MasterView;
class ModuleFiles;

struct Services {
    EventLoop& loop;
    Log& log;
    DeadlineWheel& deadlines;
    ConnectionList& connections;
    Mailbox& mailbox;            // mailbox.post(work), from any thread: work runs in the loop
    BlockingPool& blocking;      // blocking.run(work, done): work on a thread, then done in the loop
    ModuleFiles& files;          // files.find(...): what the master has opened for modules
    const CounterRow& counters;  // counters.counter("mine_total"): a name that the module declared
    // Of the generation that this worker serves; a hot reload puts another one in its place (Module::commit).
    std::shared_ptr<const Configuration> configuration;
    unsigned slot = 0;
    MasterView* master = nullptr;  // worker/module/master_view.h; null in tests without a master

    // Reloads that have succeeded, also those that changed nothing here or anywhere: what a module remembers
    // of the world outside (open files, say) is to be forgotten when this is another number. One load.
    std::uint64_t reloads() const noexcept;
};

}  // namespace drover
