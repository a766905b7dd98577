#include "core/version.h"

namespace drover {

const char* version() noexcept {
    return DROVER_VERSION;
}

}  // namespace drover
