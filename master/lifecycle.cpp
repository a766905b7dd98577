#include "master/lifecycle.h"

#include <array>
#include <cstddef>

namespace drover {

namespace {

using S = LifeState;
using A = LifeAction;
using Row = std::array<LifeStep, life_event_count>;

// Columns in the order of LifeEvent:
//   reload, config_ready, config_unchanged, config_refused,
//   generation_ready, generation_failed, old_quiet, generation_unfit,
//   stop, quit, interrupt,
//   deadline, all_gone
// "Stay and do nothing" stands where an event cannot come, or comes too late to matter.
constexpr std::array<Row, life_state_count> table{{
    // reading
    {{{S::reading, A::nothing},
      {S::starting, A::start_generation},
      {S::reading, A::nothing},
      {S::killing, A::give_up},
      {S::reading, A::nothing},
      {S::reading, A::nothing},
      {S::reading, A::nothing},
      {S::reading, A::nothing},
      {S::killing, A::force},
      {S::killing, A::force},
      {S::killing, A::force},
      {S::reading, A::nothing},
      {S::reading, A::nothing}}},
    // starting
    {{{S::starting, A::remember_reload},
      {S::starting, A::nothing},
      {S::starting, A::nothing},
      {S::starting, A::nothing},
      {S::running, A::announce},
      {S::killing, A::give_up},
      {S::starting, A::nothing},
      {S::starting, A::nothing},
      {S::draining, A::drain},
      {S::quitting, A::drain_unlimited},
      {S::killing, A::force},
      {S::starting, A::nothing},
      {S::starting, A::nothing}}},
    // running; the first generation's listen() can still fail while it is announced
    {{{S::rereading, A::read_config},
      {S::running, A::nothing},
      {S::running, A::nothing},
      {S::running, A::nothing},
      {S::running, A::nothing},
      {S::killing, A::give_up},
      {S::running, A::nothing},
      {S::preparing, A::roll_back},
      {S::draining, A::drain},
      {S::quitting, A::drain_unlimited},
      {S::killing, A::force},
      {S::running, A::nothing},
      {S::running, A::nothing}}},
    // rereading
    {{{S::rereading, A::remember_reload},
      {S::preparing, A::start_generation},
      {S::running, A::settle_unchanged},
      {S::running, A::refuse},
      {S::rereading, A::nothing},
      {S::rereading, A::nothing},
      {S::rereading, A::nothing},
      {S::rereading, A::nothing},
      {S::draining, A::drain},
      {S::quitting, A::drain_unlimited},
      {S::killing, A::force},
      {S::rereading, A::nothing},
      {S::rereading, A::nothing}}},
    // preparing
    {{{S::preparing, A::remember_reload},
      {S::preparing, A::nothing},
      {S::preparing, A::nothing},
      {S::preparing, A::nothing},
      {S::switching, A::switch_over},
      {S::running, A::refuse},
      {S::preparing, A::nothing},
      {S::preparing, A::nothing},
      {S::draining, A::drain},
      {S::quitting, A::drain_unlimited},
      {S::killing, A::force},
      {S::preparing, A::nothing},
      {S::preparing, A::nothing}}},
    // switching; the new listeners' listen() can still fail before anything else is done
    {{{S::switching, A::remember_reload},
      {S::switching, A::nothing},
      {S::switching, A::nothing},
      {S::switching, A::nothing},
      {S::switching, A::nothing},
      {S::running, A::refuse},
      {S::running, A::settle},
      {S::switching, A::nothing},
      {S::draining, A::drain},
      {S::quitting, A::drain_unlimited},
      {S::killing, A::force},
      {S::switching, A::nothing},
      {S::switching, A::nothing}}},
    // draining
    {{{S::draining, A::nothing},
      {S::draining, A::nothing},
      {S::draining, A::nothing},
      {S::draining, A::nothing},
      {S::draining, A::nothing},
      {S::draining, A::nothing},
      {S::draining, A::nothing},
      {S::draining, A::nothing},
      {S::killing, A::force},
      {S::draining, A::nothing},
      {S::killing, A::force},
      {S::killing, A::force},
      {S::finished, A::finish}}},
    // quitting
    {{{S::quitting, A::nothing},
      {S::quitting, A::nothing},
      {S::quitting, A::nothing},
      {S::quitting, A::nothing},
      {S::quitting, A::nothing},
      {S::quitting, A::nothing},
      {S::quitting, A::nothing},
      {S::quitting, A::nothing},
      {S::draining, A::drain},
      {S::quitting, A::nothing},
      {S::killing, A::force},
      {S::quitting, A::nothing},
      {S::finished, A::finish}}},
    // killing
    {{{S::killing, A::nothing},
      {S::killing, A::nothing},
      {S::killing, A::nothing},
      {S::killing, A::nothing},
      {S::killing, A::nothing},
      {S::killing, A::nothing},
      {S::killing, A::nothing},
      {S::killing, A::nothing},
      {S::killing, A::kill},
      {S::killing, A::nothing},
      {S::killing, A::kill},
      {S::killing, A::kill},
      {S::finished, A::finish}}},
    // finished
    {{{S::finished, A::nothing},
      {S::finished, A::nothing},
      {S::finished, A::nothing},
      {S::finished, A::nothing},
      {S::finished, A::nothing},
      {S::finished, A::nothing},
      {S::finished, A::nothing},
      {S::finished, A::nothing},
      {S::finished, A::nothing},
      {S::finished, A::nothing},
      {S::finished, A::nothing},
      {S::finished, A::nothing},
      {S::finished, A::nothing}}},
}};

}  // namespace

LifeStep lifecycle_step(LifeState state, LifeEvent event) noexcept {
    return table[static_cast<std::size_t>(state)][static_cast<std::size_t>(event)];
}

}  // namespace drover
