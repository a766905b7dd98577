#include "master/reload/reload_desk.h"

#include "conf/options/value_text.h"

#include <utility>

namespace drover {

void ReloadDesk::ask(const Wish& wish) {
    if (under_way_) again_ = true;
    if (wish.fresh) (under_way_ ? next_fresh_ : fresh_) = true;
    if (wish.caller != 0) (under_way_ ? next_ : waiting_).push_back(wish);
}

void ReloadDesk::begin() noexcept {
    under_way_ = true;
}

void ReloadDesk::progress(std::string_view text) const {
    for (const Wish& wish : waiting_)
        server_->progress(wish.caller, text);
}

bool ReloadDesk::close(bool ok, const std::string& text, std::chrono::milliseconds probation) {
    under_way_ = false;
    fresh_ = std::exchange(next_fresh_, false);
    const bool proves_itself = ok && probation.count() > 0;
    const std::string said =
        proves_itself ? text + ", on probation for " + duration_text(probation.count()) : text;
    for (const Wish& wish : std::exchange(waiting_, std::exchange(next_, {}))) {
        if (proves_itself && wish.probation) {
            server_->progress(wish.caller, said);
            on_probation_.push_back(wish.caller);
        } else {
            server_->reply(wish.caller, ok, said);
        }
    }
    return std::exchange(again_, false);
}

void ReloadDesk::close_probation(bool passed, std::string_view text) {
    for (const ControlCaller caller : std::exchange(on_probation_, {}))
        server_->reply(caller, passed, text);
}

void ReloadDesk::close_all(const std::string& reason) {
    close_probation(false, reason);
    close(false, reason, {});
    close(false, reason, {});
}

}  // namespace drover
