#include "master/reload_desk.h"

#include <utility>

namespace drover {

void ReloadDesk::ask(ControlCaller caller, bool fresh) {
    if (under_way_) again_ = true;
    if (fresh) (under_way_ ? next_fresh_ : fresh_) = true;
    if (caller != 0) (under_way_ ? next_ : waiting_).push_back(caller);
}

void ReloadDesk::begin() noexcept {
    under_way_ = true;
}

void ReloadDesk::progress(std::string_view text) const {
    for (const ControlCaller caller : waiting_)
        server_->progress(caller, text);
}

bool ReloadDesk::close(bool ok, std::string_view text) {
    under_way_ = false;
    fresh_ = std::exchange(next_fresh_, false);
    for (const ControlCaller caller : std::exchange(waiting_, std::exchange(next_, {}))) {
        server_->reply(caller, ok, text);
    }
    return std::exchange(again_, false);
}

void ReloadDesk::close_all(std::string_view reason) {
    close(false, reason);
    close(false, reason);
}

}  // namespace drover
