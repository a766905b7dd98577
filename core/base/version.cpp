#include "core/base/version.h"

#include <string_view>

namespace drover {

static_assert(std::string_view(DROVER_VERSION) == DROVER_HEADER_VERSION,
              "CMakeLists.txt and core/base/version.h differ");

const char* version() noexcept {
    return DROVER_VERSION;
}

}  // namespace drover
