#include "master/reload/reload_table.h"

namespace drover {

namespace {

using Kinds = ReloadCell::Kinds;
using S = ReloadState;
using E = ReloadEvent;
using A = ReloadAction;

constexpr ReloadCell table_of_reloads[] = {
    {Kinds::asked, S::reading, E::refused, {S::over, A::refuse}},
    {Kinds::asked, S::reading, E::unchanged, {S::over, A::settle_unchanged}},
    {Kinds::all, S::reading, E::hot, {S::preparing, A::prepare}},
    {Kinds::all, S::reading, E::fresh, {S::waiting, A::wait_for_old}},

    {Kinds::all, S::waiting, E::old_gone, {S::starting, A::start}},
    {Kinds::all, S::waiting, E::late, {S::starting, A::start}},
    {Kinds::all, S::waiting, E::failed, {S::over, A::refuse}},  // too many generations

    {Kinds::all, S::starting, E::ready, {S::switching, A::switch_over}},
    {Kinds::all, S::starting, E::failed, {S::over, A::refuse}},

    {Kinds::asked, S::switching, E::unfit, {S::over, A::go_back}},
    {Kinds::all, S::switching, E::quiet, {S::over, A::settle}},
    {Kinds::all, S::switching, E::late, {S::switching, A::kill_accepting}},
    {Kinds::all, S::switching, E::failed, {S::over, A::refuse}},  // listen(), before anything else is done

    {Kinds::all, S::preparing, E::ready, {S::committing, A::commit}},
    {Kinds::all, S::preparing, E::late, {S::committing, A::commit}},  // without those that have not answered
    {Kinds::asked, S::preparing, E::failed, {S::over, A::refuse}},
    {Kinds::back, S::preparing, E::failed, {S::waiting, A::retry_fresh}},

    {Kinds::asked, S::committing, E::unfit, {S::over, A::go_back}},
    {Kinds::all, S::committing, E::quiet, {S::over, A::settle}},
    {Kinds::all, S::committing, E::late, {S::committing, A::replace_uncommitted}},
    {Kinds::asked, S::committing, E::failed, {S::over, A::refuse}},  // listen(), before the commit point
    {Kinds::back, S::committing, E::failed, {S::waiting, A::retry_fresh}},
};

constexpr bool covers(Kinds kinds, ReloadKind kind) noexcept {
    return kinds == Kinds::all || (kinds == Kinds::back) == (kind == ReloadKind::back);
}

}  // namespace

std::span<const ReloadCell> reload_table() noexcept {
    return table_of_reloads;
}

ReloadStep reload_step(ReloadKind kind, ReloadState state, ReloadEvent event) noexcept {
    for (const ReloadCell& cell : table_of_reloads) {
        if (covers(cell.kinds, kind) && cell.state == state && cell.event == event) return cell.step;
    }
    return {state, A::nothing};
}

}  // namespace drover
