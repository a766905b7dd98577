#include "master/lifecycle.h"

#include <initializer_list>
#include <set>
#include <utility>

#include <doctest/doctest.h>

using namespace drover;
using S = LifeState;
using E = LifeEvent;
using A = LifeAction;

namespace {

struct Cell {
    S state;
    E event;
    S next;
    A action;
};

// The whole table again, written by state and event instead of by position. What is not here does nothing.
constexpr Cell cells[] = {
    {S::reading, E::config_ready, S::starting, A::start_generation},
    {S::reading, E::config_refused, S::killing, A::give_up},
    {S::reading, E::stop, S::killing, A::force},
    {S::reading, E::quit, S::killing, A::force},
    {S::reading, E::interrupt, S::killing, A::force},

    {S::starting, E::reload, S::starting, A::remember_reload},
    {S::starting, E::generation_ready, S::running, A::announce},
    {S::starting, E::generation_failed, S::killing, A::give_up},
    {S::starting, E::stop, S::draining, A::drain},
    {S::starting, E::quit, S::quitting, A::drain_unlimited},
    {S::starting, E::interrupt, S::killing, A::force},

    {S::running, E::reload, S::rereading, A::read_config},
    {S::running, E::generation_failed, S::killing, A::give_up},
    {S::running, E::generation_unfit, S::preparing, A::roll_back},
    {S::running, E::stop, S::draining, A::drain},
    {S::running, E::quit, S::quitting, A::drain_unlimited},
    {S::running, E::interrupt, S::killing, A::force},

    {S::rereading, E::reload, S::rereading, A::remember_reload},
    {S::rereading, E::config_ready, S::preparing, A::start_generation},
    {S::rereading, E::config_unchanged, S::running, A::settle_unchanged},
    {S::rereading, E::config_refused, S::running, A::refuse},
    {S::rereading, E::stop, S::draining, A::drain},
    {S::rereading, E::quit, S::quitting, A::drain_unlimited},
    {S::rereading, E::interrupt, S::killing, A::force},

    {S::preparing, E::reload, S::preparing, A::remember_reload},
    {S::preparing, E::generation_ready, S::switching, A::switch_over},
    {S::preparing, E::generation_failed, S::running, A::refuse},
    {S::preparing, E::stop, S::draining, A::drain},
    {S::preparing, E::quit, S::quitting, A::drain_unlimited},
    {S::preparing, E::interrupt, S::killing, A::force},

    {S::switching, E::reload, S::switching, A::remember_reload},
    {S::switching, E::generation_failed, S::running, A::refuse},
    {S::switching, E::old_quiet, S::running, A::settle},
    {S::switching, E::stop, S::draining, A::drain},
    {S::switching, E::quit, S::quitting, A::drain_unlimited},
    {S::switching, E::interrupt, S::killing, A::force},

    {S::draining, E::stop, S::killing, A::force},
    {S::draining, E::interrupt, S::killing, A::force},
    {S::draining, E::deadline, S::killing, A::force},
    {S::draining, E::all_gone, S::finished, A::finish},

    {S::quitting, E::stop, S::draining, A::drain},
    {S::quitting, E::interrupt, S::killing, A::force},
    {S::quitting, E::all_gone, S::finished, A::finish},

    {S::killing, E::stop, S::killing, A::kill},
    {S::killing, E::interrupt, S::killing, A::kill},
    {S::killing, E::deadline, S::killing, A::kill},
    {S::killing, E::all_gone, S::finished, A::finish},
};

template <class Visit>
void each_cell(Visit visit) {
    for (int state = 0; state < life_state_count; ++state) {
        for (int event = 0; event < life_event_count; ++event)
            visit(static_cast<S>(state), static_cast<E>(event));
    }
}

}  // namespace

TEST_CASE("each cell of the lifecycle table") {
    each_cell([](S state, E event) {
        LifeStep expected{state, A::nothing};
        for (const Cell& cell : cells) {
            if (cell.state == state && cell.event == event) expected = {cell.next, cell.action};
        }
        CAPTURE(static_cast<int>(state));
        CAPTURE(static_cast<int>(event));
        const LifeStep step = lifecycle_step(state, event);
        CHECK(step.next == expected.next);
        CHECK(step.action == expected.action);
    });
}

TEST_CASE("a stop is never undone, and TERM ends the service from every state") {
    each_cell([](S state, E event) {
        if (is_stopping(state)) CHECK(is_stopping(lifecycle_step(state, event).next));
    });
    for (int state = 0; state < life_state_count; ++state) {
        CHECK(is_stopping(lifecycle_step(static_cast<S>(state), E::stop).next));
    }
}

TEST_CASE("from every state but the last, some event leads on, and all_gone ends every stop") {
    for (int state = 0; state < life_state_count - 1; ++state) {
        std::set<S> reachable;
        for (int event = 0; event < life_event_count; ++event) {
            reachable.insert(lifecycle_step(static_cast<S>(state), static_cast<E>(event)).next);
        }
        reachable.erase(static_cast<S>(state));
        CHECK_FALSE(reachable.empty());
        if (is_stopping(static_cast<S>(state))) {
            CHECK(lifecycle_step(static_cast<S>(state), E::all_gone).next == S::finished);
        }
    }
}
