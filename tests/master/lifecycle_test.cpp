#include "master/lifecycle.h"

#include <set>

#include <doctest/doctest.h>

using namespace drover;
using S = LifeState;
using E = LifeEvent;
using A = LifeAction;

namespace {

template <class Visit>
void each_cell(Visit visit) {
    for (int state = 0; state < life_state_count; ++state) {
        for (int event = 0; event < life_event_count; ++event)
            visit(static_cast<S>(state), static_cast<E>(event));
    }
}

int cells_of(S state, E event) {
    int cells = 0;
    for (const LifeCell& cell : lifecycle_table())
        cells += cell.state == state && cell.event == event ? 1 : 0;
    return cells;
}

}  // namespace

TEST_CASE("a cell of the lifecycle table is listed once, and one that is not changes nothing") {
    each_cell([](S state, E event) {
        CAPTURE(static_cast<int>(state));
        CAPTURE(static_cast<int>(event));
        CHECK(cells_of(state, event) <= 1);
        const LifeStep step = lifecycle_step(state, event);
        if (cells_of(state, event) == 0) {
            CHECK(step.next == state);
            CHECK(step.action == A::nothing);
        }
    });
    for (const LifeCell& cell : lifecycle_table()) {
        const LifeStep step = lifecycle_step(cell.state, cell.event);
        CHECK(step.next == cell.step.next);
        CHECK(step.action == cell.step.action);
    }
}

TEST_CASE("a start is announced when the first generation serves, and ends when it fails") {
    CHECK(lifecycle_step(S::reading, E::configured).next == S::starting);
    CHECK(lifecycle_step(S::starting, E::serves).next == S::running);
    CHECK(lifecycle_step(S::starting, E::serves).action == A::announce);
    each_cell([](S state, E event) {
        const bool announced = lifecycle_step(state, event).action == A::announce;
        CHECK(announced == (state == S::starting && event == E::serves));
        if (event != E::start_failed) return;
        const bool starts = state == S::reading || state == S::starting;
        CHECK(lifecycle_step(state, event).next == (starts ? S::killing : state));
        CHECK(lifecycle_step(state, event).action == (starts ? A::force : A::nothing));
    });
}

TEST_CASE("each request to stop is at least as forceful as the one before") {
    for (const S state : {S::starting, S::running}) {
        CHECK(lifecycle_step(state, E::stop).action == A::drain);
        CHECK(lifecycle_step(state, E::quit).action == A::drain_unlimited);
    }
    for (const S state : {S::starting, S::running, S::draining, S::quitting})
        CHECK(lifecycle_step(state, E::interrupt).action == A::force);
    for (const E event : {E::stop, E::quit, E::interrupt})
        CHECK(lifecycle_step(S::reading, event).action == A::force);
    CHECK(lifecycle_step(S::quitting, E::stop).action == A::drain);
    CHECK(lifecycle_step(S::draining, E::stop).action == A::force);
    CHECK(lifecycle_step(S::draining, E::deadline).action == A::force);
    for (const E event : {E::stop, E::interrupt, E::deadline})
        CHECK(lifecycle_step(S::killing, event).action == A::kill);
    // The states in the order of their force, but for draining, which has a time limit that quitting lacks.
    each_cell([](S state, E event) {
        const S next = lifecycle_step(state, event).next;
        CHECK((next >= state || (state == S::quitting && next == S::draining)));
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
        const LifeStep gone = lifecycle_step(static_cast<S>(state), E::all_gone);
        CHECK(gone.next == (is_stopping(static_cast<S>(state)) ? S::finished : static_cast<S>(state)));
        CHECK(gone.action == (is_stopping(static_cast<S>(state)) ? A::finish : A::nothing));
    }
}
