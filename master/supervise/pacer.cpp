#include "master/supervise/pacer.h"

#include <utility>

namespace drover {

Pacer::Pacer(EventLoop& loop, std::chrono::milliseconds interval, Callback<void()> action)
    : interval_(interval), action_(action), timer_(loop, Timer::Handler::to<&Pacer::on_time>(this)) {}

void Pacer::ask() {
    if (timer_.started()) {
        asked_ = true;
        return;
    }
    timer_.start_once(interval_);
    action_();
}

void Pacer::on_time() {
    if (std::exchange(asked_, false)) ask();
}

}  // namespace drover
