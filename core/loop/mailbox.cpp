#include "core/loop/mailbox.h"

#include "core/base/system_error.h"

#include <utility>

#include <sys/eventfd.h>

namespace drover {

Mailbox::Mailbox(EventLoop& loop) : event_(check_call(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")) {
    watch_.start(loop, event_.get(), Interest::read, FdWatch::Handler::to<&Mailbox::on_ready>(this));
}

void Mailbox::post(Work work) {
    bool first = false;
    {
        const std::lock_guard lock(mutex_);
        first = posted_.empty();
        posted_.push_back(std::move(work));
    }
    // The caller that finds the box empty rings; work that others add is fetched along.
    if (first) ::eventfd_write(event_.get(), 1);
}

void Mailbox::on_ready(Readiness) {
    eventfd_t rings = 0;
    ::eventfd_read(event_.get(), &rings);
    std::vector<Work> work;
    {
        const std::lock_guard lock(mutex_);
        work.swap(posted_);
    }
    for (Work& each : work)
        each();
}

}  // namespace drover
