// The difference between two images: what changed, and what it takes to apply it. Runs in: the config reader.
#pragma once

#include "conf/image/image.h"

#include <cstdint>
#include <string>
#include <vector>

namespace drover {

// Ordered: the whole difference is the largest of its parts.
enum class Change : std::uint32_t { none = 0, hot, fresh, restart };
const char* to_text(Change change) noexcept;

struct Difference {
    Change change = Change::none;
    std::vector<std::string> lines;         // "pool.main.workers: 2 -> 4 (hot)"; long values cut
    std::vector<std::string> restart_keys;  // "master.runtime_dir"
};

// The same values in the same places; defaults and how changes are applied do not count.
bool same_values(const ImageNode& left, const ImageNode& right) noexcept;

Difference compare(const Image& running, const Image& next);

}  // namespace drover
