// Which entries of pool.NAME.modules are paths of shared libraries. Runs in: config reader.
#pragma once

#include "conf/reader/document.h"

#include <string_view>
#include <vector>

namespace drover {

constexpr bool is_library(std::string_view module) noexcept {
    return module.find('/') != std::string_view::npos;
}

// In the file's order.
std::vector<DocumentValue*> find_libraries(Document& document);

}  // namespace drover
