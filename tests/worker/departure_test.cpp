#include "worker/departure.h"

#include "core/protocol/channel.h"
#include "tests/worker/scripted_module.h"
#include "worker/intake.h"
#include "worker/module/module_host.h"

#include <utility>
#include <vector>

#include <doctest/doctest.h>

using namespace drover;
using namespace drover::test;

namespace {

// A worker's end, without listeners, and its master's end of the channel.
struct Leaving {
    Script script;
    ScriptedWorker worker{script};
    ModuleHost modules{scripted_modules, {"scripted"}};
    std::pair<UniqueFd, UniqueFd> ends = Channel::make_pair();
    std::vector<MessageType> heard;
    int stops = 0;
    Channel master{worker.services().loop, std::move(ends.first),
                   Channel::MessageHandler::to<&Leaving::hear>(this), Channel::ClosedHandler()};
    Channel channel{worker.services().loop, std::move(ends.second),
                    Channel::MessageHandler::to<&Leaving::hear>(this), Channel::ClosedHandler()};
    Intake intake{worker.services().loop, worker.services().log, worker.services().connections, {}};
    Departure departure{worker.services().loop,
                        worker.services().log,
                        channel,
                        worker.services().connections,
                        intake,
                        Callback<void()>::to<&Leaving::note_stop>(this)};

    Leaving() { modules.start(worker.services(), ImageNode()); }
    void hear(Message& message) { heard.push_back(message.type); }
    void note_stop() { ++stops; }
};

}  // namespace

TEST_CASE("who tells a worker to leave: every state, every event") {
    using enum LeaveWish;
    using enum LeaveEvent;
    using enum LeaveAction;
    const auto next = [](LeaveWish wish, LeaveEvent event) { return leave_step(wish, event); };
    // Somebody's signal: the worker asks for a successor, once. A signal of the master's drains.
    CHECK(next(none, signal) == LeaveStep{asked, ask});
    CHECK(next(asked, signal) == LeaveStep{asked, drain});
    CHECK(next(dismissed, signal) == LeaveStep{dismissed, drain});
    CHECK(next(signal_due, signal) == LeaveStep{asked, nothing});
    // Nobody can be asked.
    CHECK(next(none, signal_alone) == LeaveStep{none, drain});
    CHECK(next(asked, signal_alone) == LeaveStep{asked, drain});
    CHECK(next(dismissed, signal_alone) == LeaveStep{dismissed, drain});
    CHECK(next(signal_due, signal_alone) == LeaveStep{asked, nothing});
    // Descriptors are lost: a successor is asked for, whatever was said before.
    CHECK(next(none, shortage) == LeaveStep{asked, ask});
    CHECK(next(asked, shortage) == LeaveStep{asked, ask});
    CHECK(next(dismissed, shortage) == LeaveStep{asked, ask});
    CHECK(next(signal_due, shortage) == LeaveStep{signal_due, nothing});
    // The master's word waits for its signal, unless that may have come before.
    CHECK(next(none, dismissal) == LeaveStep{dismissed, nothing});
    CHECK(next(asked, dismissal) == LeaveStep{signal_due, drain});
    CHECK(next(dismissed, dismissal) == LeaveStep{dismissed, nothing});
    CHECK(next(signal_due, dismissal) == LeaveStep{signal_due, drain});
}

TEST_CASE(
    "a worker that drains says that it accepts no more, once, and leaves when its last connection is gone") {
    Leaving leaving;
    const FixtureClient client(leaving.worker);
    leaving.departure.begin(leaving.worker.services(), leaving.modules, false);
    CHECK(leaving.stops == 1);
    CHECK_FALSE(leaving.departure.leaves());
    leaving.script.last->close();
    leaving.worker.settle();
    leaving.departure.on_connection_closed();
    CHECK(leaving.departure.leaves());
    CHECK(leaving.stops == 1);
    leaving.worker.settle();
    CHECK(leaving.heard == std::vector<MessageType>{MessageType::stopped_accepting});
}

TEST_CASE("nothing that ends before the drain lets a worker leave") {
    Leaving leaving;
    leaving.departure.look();
    leaving.departure.on_connection_closed();
    CHECK_FALSE(leaving.departure.leaves());
    CHECK(leaving.stops == 0);
    leaving.departure.begin(leaving.worker.services(), leaving.modules, true);
    CHECK(leaving.departure.leaves());
    CHECK(leaving.departure.exit_code() == ExitCode::ok);
    leaving.departure.leave(ExitCode::refused);
    CHECK(leaving.departure.exit_code() == ExitCode::refused);
}
