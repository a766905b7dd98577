#include "modules/http/response_times.h"

namespace drover::http {

void ResponseTimes::add(const HttpConnection& connection, const RouteTime& time, std::int64_t began_us,
                        std::uint64_t generation) {
    if (has(connection)) {
        UnsentResponses& last = unsent_.back();
        if (last.began_us == began_us && last.generation == generation && last.time.label == time.label) {
            ++last.count;
            return;
        }
    }
    unsent_.push_back({&connection, time, began_us, generation, 1});
}

void ResponseTimes::observe(const HttpConnection& connection, std::int64_t now_us) noexcept {
    for (; has(connection); unsent_.pop_back())
        unsent_.back().observe(unsent_.back().time, now_us);
}

void ResponseTimes::move(const HttpConnection& connection, UnsentList& list) {
    for (; has(connection); unsent_.pop_back())
        list.push_back(unsent_.back());
}

}  // namespace drover::http
