#include "master/reload/probation.h"

namespace drover {

void Probation::begin(std::uint64_t generation, unsigned deaths) noexcept {
    generation_ = generation;
    forgiven_ = deaths;
    deaths_ = 0;
    last_.clear();
}

void Probation::count_death(std::uint64_t generation, const std::string& obituary) {
    if (!under_way() || generation != generation_) return;
    ++deaths_;
    last_ = obituary;
}

std::string Probation::reason() const {
    return std::to_string(deaths_) +
           (deaths_ == 1 ? " of its workers died: " : " of its workers died, the last: ") + last_;
}

}  // namespace drover
