#include "worker/room_sign.h"

#include <algorithm>

namespace drover {

namespace {

constexpr std::uint64_t little_room_share = 8;

}  // namespace

RoomSign::RoomSign(EventLoop& loop, Callback<void()> on_change)
    : on_change_(on_change), timer_(loop, Timer::Handler::to<&RoomSign::show_room>(this)) {}

void RoomSign::update(std::uint64_t connections, std::uint64_t limit) {
    connections_ = connections;
    limit_ = limit;
    if (full_) return show_room();
    if (connections < limit) return;
    full_ = true;
    on_change_();
}

void RoomSign::show_room() {
    if (!full_ || !has_room() || timer_.started()) return;
    full_ = false;
    timer_.start_once(interval);
    on_change_();
}

// Room for one is not worth the word where there is more: the next client would take it.
bool RoomSign::has_room() const noexcept {
    return connections_ + std::max<std::uint64_t>(1, limit_ / little_room_share) <= limit_;
}

}  // namespace drover
