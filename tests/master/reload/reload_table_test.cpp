#include "master/reload/reload_table.h"

#include <set>

#include <doctest/doctest.h>

using namespace drover;
using RK = ReloadKind;
using RS = ReloadState;
using RE = ReloadEvent;
using RA = ReloadAction;

namespace {

template <class Visit>
void each_reload_cell(Visit visit) {
    for (const RK kind : {RK::asked, RK::back}) {
        for (int state = 0; state < reload_state_count; ++state) {
            for (int event = 0; event < reload_event_count; ++event) {
                CAPTURE(static_cast<int>(kind));
                CAPTURE(state);
                CAPTURE(event);
                visit(kind, static_cast<RS>(state), static_cast<RE>(event));
            }
        }
    }
}

bool covers_kind(const ReloadCell& cell, RK kind) {
    if (cell.kinds == ReloadCell::Kinds::all) return true;
    return cell.kinds == (kind == RK::asked ? ReloadCell::Kinds::asked : ReloadCell::Kinds::back);
}

// The states on the way, and what is done last.
struct Walk {
    RK kind;
    RS state = RS::reading;
    RA action = RA::nothing;

    Walk& then(RE event) {
        const ReloadStep step = reload_step(kind, state, event);
        state = step.next;
        action = step.action;
        return *this;
    }
};

bool gives_verdict(RA action) {
    return action == RA::settle || action == RA::settle_unchanged || action == RA::refuse;
}

}  // namespace

TEST_CASE("a cell of the table of reloads is listed once, and one that is not changes nothing") {
    each_reload_cell([](RK kind, RS state, RE event) {
        int cells = 0;
        const ReloadStep step = reload_step(kind, state, event);
        for (const ReloadCell& cell : reload_table()) {
            if (!covers_kind(cell, kind) || cell.state != state || cell.event != event) continue;
            ++cells;
            CHECK(step.next == cell.step.next);
            CHECK(step.action == cell.step.action);
        }
        CHECK(cells <= 1);
        if (cells > 0) return;
        CHECK(step.next == state);
        CHECK(step.action == RA::nothing);
    });
}

TEST_CASE("a reload is over with one verdict, or with the way back, which gives it") {
    each_reload_cell([](RK kind, RS state, RE event) {
        const ReloadStep step = reload_step(kind, state, event);
        const bool ends = state != RS::over && step.next == RS::over;
        CHECK(ends == (gives_verdict(step.action) || step.action == RA::go_back));
    });
}

TEST_CASE("a fresh reload: new workers are ready, then they serve, then no old one accepts") {
    for (const RK kind : {RK::asked, RK::back}) {
        Walk walk{kind};
        CHECK(walk.then(RE::fresh).action == RA::wait_for_old);
        CHECK(Walk(walk).then(RE::late).action == RA::start);
        CHECK(walk.then(RE::old_gone).action == RA::start);
        CHECK(walk.then(RE::ready).action == RA::switch_over);
        CHECK(walk.then(RE::late).action == RA::kill_accepting);
        CHECK(walk.state == RS::switching);
        CHECK(walk.then(RE::quiet).action == RA::settle);
    }
}

TEST_CASE("a hot reload: running workers are prepared, then they commit, with or without the late ones") {
    for (const RK kind : {RK::asked, RK::back}) {
        Walk walk{kind};
        CHECK(walk.then(RE::hot).action == RA::prepare);
        CHECK(Walk(walk).then(RE::late).action == RA::commit);
        CHECK(walk.then(RE::ready).action == RA::commit);
        CHECK(walk.then(RE::late).action == RA::replace_uncommitted);
        CHECK(walk.state == RS::committing);
        CHECK(walk.then(RE::quiet).action == RA::settle);
    }
}

TEST_CASE("the reader alone can refuse a configuration or find nothing new, and a way back has no reader") {
    CHECK(Walk{RK::asked}.then(RE::refused).action == RA::refuse);
    CHECK(Walk{RK::asked}.then(RE::unchanged).action == RA::settle_unchanged);
    each_reload_cell([](RK kind, RS state, RE event) {
        if (event != RE::refused && event != RE::unchanged) return;
        const bool listed = kind == RK::asked && state == RS::reading;
        CHECK((reload_step(kind, state, event).action != RA::nothing) == listed);
    });
}

TEST_CASE(
    "a failure refuses a reload in every state after the reader; a way back in running workers is retried") {
    each_reload_cell([](RK kind, RS state, RE event) {
        if (event != RE::failed || state == RS::reading || state == RS::over) return;
        const bool hot = state == RS::preparing || state == RS::committing;
        const bool retried = kind == RK::back && hot;
        const ReloadStep step = reload_step(kind, state, event);
        CHECK(step.action == (retried ? RA::retry_fresh : RA::refuse));
        CHECK(step.next == (retried ? RS::waiting : RS::over));
    });
}

TEST_CASE("a generation that proves unfit while it takes over is gone back from, but never from a way back") {
    each_reload_cell([](RK kind, RS state, RE event) {
        const bool takes_over = state == RS::switching || state == RS::committing;
        const bool listed = kind == RK::asked && takes_over && event == RE::unfit;
        CHECK((reload_step(kind, state, event).action == RA::go_back) == listed);
    });
}

TEST_CASE("pools keep their sizes while workers are made ready") {
    const std::set<RS> expected{RS::starting, RS::preparing, RS::committing};
    for (int state = 0; state < reload_state_count; ++state)
        CHECK(makes_ready(static_cast<RS>(state)) == expected.contains(static_cast<RS>(state)));
}
