#include "core/loop/deadline_wheel.h"

#include <algorithm>

namespace drover {

namespace {

constexpr std::int64_t most_ticks_late = 2;

}  // namespace

void DeadlineEntry::unlink() noexcept {
    if (link_ == nullptr) return;
    *link_ = next_;
    if (next_ != nullptr) next_->link_ = link_;
    link_ = nullptr;
    next_ = nullptr;
}

DeadlineWheel::DeadlineWheel(EventLoop& loop)
    : loop_(loop),
      timer_(loop, Timer::Handler::to<&DeadlineWheel::on_tick>(this)),
      started_ms_(loop.coarse_now_ms()) {}

void DeadlineWheel::set(DeadlineEntry& entry, std::chrono::milliseconds after) noexcept {
    const std::int64_t now = loop_.coarse_now_ms();
    if (!timer_.started()) {
        // The wheel stood still while it was empty.
        started_ms_ = now - now_tick_ * tick.count();
        timer_.start_every(tick);
    }
    // From the present, not from the last tick: the loop may be late with the next one.
    ticks_passed(now);
    const std::int64_t due = now + EventLoop::coarse_step_ms + after.count() - started_ms_;
    const auto due_tick = static_cast<std::uint32_t>((due + tick.count() - 1) / tick.count());
    entry.deadline_tick_ = std::max(due_tick, now_tick_ + 1);
    const bool found_in_time = entry.link_ != nullptr && entry.bucket_tick_ <= entry.deadline_tick_;
    if (found_in_time) return;
    entry.unlink();
    link(entry, entry.deadline_tick_);
}

void DeadlineWheel::link(DeadlineEntry& entry, std::uint32_t bucket_tick) noexcept {
    DeadlineEntry*& head = buckets_[bucket_tick % bucket_count];
    entry.bucket_tick_ = bucket_tick;
    entry.next_ = head;
    entry.link_ = &head;
    if (head != nullptr) head->link_ = &entry.next_;
    head = &entry;
}

std::chrono::milliseconds DeadlineWheel::remaining(const DeadlineEntry& entry) const noexcept {
    return entry.deadline_tick_ <= now_tick_ ? std::chrono::milliseconds(0)
                                             : tick * (entry.deadline_tick_ - now_tick_);
}

// Since now_tick_. While the loop was kept for long the wheel stood still as well: nobody could be heard.
std::uint32_t DeadlineWheel::ticks_passed(std::int64_t now) noexcept {
    const std::int64_t passed = (now - started_ms_) / tick.count() - now_tick_;
    if (passed > most_ticks_late) {
        started_ms_ += (passed - 1) * tick.count();
        return 1;
    }
    return static_cast<std::uint32_t>(std::max<std::int64_t>(passed, 0));
}

void DeadlineWheel::on_tick() {
    turn(ticks_passed(loop_.now_ms()));
    for (const DeadlineEntry* head : buckets_) {
        if (head != nullptr) return;
    }
    timer_.stop();
}

void DeadlineWheel::advance(std::uint32_t ticks) {
    for (; ticks > 0; --ticks) {
        started_ms_ = loop_.coarse_now_ms() - (std::int64_t{now_tick_} + 1) * tick.count();
        turn(1);
    }
}

void DeadlineWheel::turn(std::uint32_t ticks) {
    for (; ticks > 0; --ticks) {
        ++now_tick_;
        expire_bucket();
    }
}

// Takes the bucket's list aside first: a handler may set deadlines (which land in buckets) and destroy other
// entries (which unlink themselves from wherever they are, this local list included).
void DeadlineWheel::expire_bucket() {
    DeadlineEntry*& bucket = buckets_[now_tick_ % bucket_count];
    DeadlineEntry* list = bucket;
    bucket = nullptr;
    if (list != nullptr) list->link_ = &list;
    while (list != nullptr) {
        DeadlineEntry& entry = *list;
        entry.unlink();
        if (entry.deadline_tick_ == 0) continue;
        if (entry.deadline_tick_ > now_tick_) {
            link(entry, entry.deadline_tick_);
            continue;
        }
        entry.deadline_tick_ = 0;
        entry.on_deadline();
    }
}

}  // namespace drover
