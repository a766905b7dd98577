#include "master/reload/probation.h"

namespace drover {

void Probation::count_death(std::uint64_t generation, const std::string& obituary) {
    if (generation != generation_) return;
    ++deaths_;
    last_ = obituary;
}

std::string Probation::reason() const {
    return std::to_string(deaths_) +
           (deaths_ == 1 ? " of its workers died: " : " of its workers died, the last: ") + last_;
}

}  // namespace drover
