#include "core/process/descriptor_reserve.h"

namespace drover {

DescriptorReserve::DescriptorReserve(std::size_t count) : count_(count) {
    kept_.reserve(count);
    fill();
}

void DescriptorReserve::fill() noexcept {
    while (kept_.size() < count_) {
        UniqueFd place(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        if (!place) return;
        kept_.push_back(std::move(place));
    }
}

}  // namespace drover
