#include "conf/reader/libraries.h"

namespace drover {

std::vector<DocumentValue*> find_libraries(Document& document) {
    std::vector<DocumentValue*> found;
    DocumentValue* const pools = document.root.find("pool");
    if (pools == nullptr) return found;
    for (DocumentValue& pool : pools->children) {
        DocumentValue* const modules = pool.find("modules");
        if (modules == nullptr) continue;
        for (DocumentValue& module : modules->children) {
            if (module.kind == DocumentKind::text && is_library(module.text)) found.push_back(&module);
        }
    }
    return found;
}

}  // namespace drover
