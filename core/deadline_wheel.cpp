#include "core/deadline_wheel.h"

namespace drover {

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
      started_ms_(loop.now_ms()) {}

void DeadlineWheel::set(DeadlineEntry& entry, std::chrono::milliseconds after) noexcept {
    if (!timer_.started()) {
        // The wheel stood still while it was empty: bring it to the present before it counts from there.
        now_tick_ = static_cast<std::uint32_t>((loop_.now_ms() - started_ms_) / tick.count()) + 1;
        timer_.start_every(tick);
    }
    const auto ticks = static_cast<std::uint32_t>((after + tick - std::chrono::milliseconds(1)) / tick) + 1;
    entry.deadline_tick_ = now_tick_ + ticks;
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

void DeadlineWheel::on_tick() {
    const auto present = static_cast<std::uint32_t>((loop_.now_ms() - started_ms_) / tick.count()) + 1;
    const std::uint32_t passed = present > now_tick_ ? present - now_tick_ : 0;
    if (passed > 2) {
        // The loop was kept for so long that deadlines set meanwhile would come early: the wheel stood still
        // as well.
        started_ms_ += (passed - 1) * tick.count();
        advance(1);
    } else {
        advance(passed);
    }
    for (const DeadlineEntry* head : buckets_) {
        if (head != nullptr) return;
    }
    timer_.stop();
}

void DeadlineWheel::advance(std::uint32_t ticks) {
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
