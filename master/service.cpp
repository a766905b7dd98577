#include "master/service.h"

#include "core/base/system_error.h"

#include <algorithm>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace drover {

namespace {

constexpr std::uint64_t own_instance = 1;
// Rows of the counter table: four for each worker of the first configuration (a reload needs two), within
// these bounds.
constexpr std::uint32_t least_rows = 1024;
constexpr std::uint32_t most_rows = 65536;

CounterCapacity capacity_for(const Settings& settings) {
    std::uint32_t workers = 0;
    for (const PoolSettings& pool : settings.pools)
        workers += pool.workers;
    CounterCapacity capacity;
    capacity.cells = settings.master.counters;
    capacity.rows = std::clamp(workers * 4, least_rows, most_rows);
    return capacity;
}

}  // namespace

Lifeline::Lifeline() {
    int ends[2];
    check_call(::pipe2(ends, O_CLOEXEC), "pipe2");
    reader.reset(ends[0]);
    writer.reset(ends[1]);
}

Service::Service(const Ground& ground, const Settings& settings, ControlServer::RequestHandler on_request,
                 ReopenDesk::Laggards log_laggards)
    : runtime_directory(settings.runtime_dir()),
      pid_file(runtime_directory.file("drover.pid")),
      control(ground.clock.loop(), ground.log, runtime_directory.file("control.sock"), on_request),
      counters(capacity_for(settings)),
      counter_reader(counters.read_only_fd(), counters.row_source()),
      own_counters(ground.clock.loop(), ground.log, counters, own_instance),
      pools{ground.clock.loop(), ground.clock,          ground.events,  counters,        own_counters,
            ground.observation,  lifeline.reader.get(), ground.modules, own_instance + 1},
      orders(control),
      event_desk(ground.clock.loop(), ground.events, control),
      reopens(ground.clock.loop(), control, std::move(log_laggards)),
      log_(ground.log) {
    use_log(settings, open_log(settings));
}

Service::OpenedLog Service::open_log(const Settings& settings) {
    LogTarget target = open_log_target(settings.log_target());
    UniqueFd own(check_call(target.reopen().release(), "open", target.name));
    std::string name = target.name;
    return {.for_workers = std::move(target), .own = {std::move(own), std::move(name)}};
}

void Service::use_log(const Settings& settings, OpenedLog opened) noexcept {
    log_.set_level(settings.master.log_level);
    log_.set_format(settings.master.log_format);
    log_.set_target(std::move(opened.own));
    pools.log = std::move(opened.for_workers);
}

}  // namespace drover
