#include "modules/http/exchange.h"

#include <utility>

namespace drover::http {

void Exchange::reset() {
    std::string kept = std::move(kept_head);
    std::string path = std::move(resolved_path);
    std::string whole_body = std::move(body);
    std::string lines = std::move(headers);
    *this = Exchange();
    kept.clear();
    lines.clear();
    kept_head = std::move(kept);
    resolved_path = std::move(path);
    headers = std::move(lines);
    // A large one is not held on to.
    if (whole_body.capacity() <= 64 * 1024) {
        whole_body.clear();
        body = std::move(whole_body);
    }
}

void Exchange::keep_head() {
    const char* const begin = head.method_name.data();
    kept_head.assign(begin, head.fields.data() + head.fields.size());
    const auto rebase = [&](std::string_view& view) {
        // An empty one may be a view of nothing.
        if (!view.empty()) view = {kept_head.data() + (view.data() - begin), view.size()};
    };
    const bool path_is_in_head = head.path.data() >= begin && head.path.data() < begin + kept_head.size();
    rebase(head.target);
    if (path_is_in_head) rebase(head.path);
    rebase(head.query);
    rebase(head.host);
    rebase(head.fields);
    rebase(head.method_name);
}

}  // namespace drover::http
