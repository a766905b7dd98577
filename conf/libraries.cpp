#include "conf/libraries.h"

namespace drover {

std::vector<const DocumentValue*> find_libraries(const Document& document) {
    std::vector<const DocumentValue*> found;
    const DocumentValue* const pools = document.root.find("pool");
    if (pools == nullptr) return found;
    for (const DocumentValue& pool : pools->children) {
        const DocumentValue* const modules = pool.find("modules");
        if (modules == nullptr) continue;
        for (const DocumentValue& module : modules->children) {
            if (module.kind == DocumentKind::text && is_library(module.text)) found.push_back(&module);
        }
    }
    return found;
}

}  // namespace drover
