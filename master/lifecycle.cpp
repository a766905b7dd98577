#include "master/lifecycle.h"

namespace drover {

namespace {

using S = LifeState;
using E = LifeEvent;
using A = LifeAction;

constexpr LifeCell life_table[] = {
    {S::reading, E::configured, {S::starting, A::nothing}},
    {S::reading, E::start_failed, {S::killing, A::force}},
    {S::reading, E::stop, {S::killing, A::force}},
    {S::reading, E::quit, {S::killing, A::force}},
    {S::reading, E::interrupt, {S::killing, A::force}},

    {S::starting, E::serves, {S::running, A::announce}},
    {S::starting, E::start_failed, {S::killing, A::force}},
    {S::starting, E::stop, {S::draining, A::drain}},
    {S::starting, E::quit, {S::quitting, A::drain_unlimited}},
    {S::starting, E::interrupt, {S::killing, A::force}},

    {S::running, E::stop, {S::draining, A::drain}},
    {S::running, E::quit, {S::quitting, A::drain_unlimited}},
    {S::running, E::interrupt, {S::killing, A::force}},

    {S::draining, E::stop, {S::killing, A::force}},
    {S::draining, E::interrupt, {S::killing, A::force}},
    {S::draining, E::deadline, {S::killing, A::force}},
    {S::draining, E::all_gone, {S::finished, A::finish}},

    {S::quitting, E::stop, {S::draining, A::drain}},
    {S::quitting, E::interrupt, {S::killing, A::force}},
    {S::quitting, E::all_gone, {S::finished, A::finish}},

    {S::killing, E::stop, {S::killing, A::kill}},
    {S::killing, E::interrupt, {S::killing, A::kill}},
    {S::killing, E::deadline, {S::killing, A::kill}},
    {S::killing, E::all_gone, {S::finished, A::finish}},
};

}  // namespace

std::span<const LifeCell> lifecycle_table() noexcept {
    return life_table;
}

LifeStep lifecycle_step(LifeState state, LifeEvent event) noexcept {
    for (const LifeCell& cell : life_table) {
        if (cell.state == state && cell.event == event) return cell.step;
    }
    return {state, A::nothing};
}

}  // namespace drover
