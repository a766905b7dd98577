#include "core/base/program.h"

namespace drover {

std::string program_text(std::string_view name, std::string_view program_version,
                         std::string_view drover_version) {
    const std::string library = "drover " + std::string(drover_version);
    if (name == "drover") return library;
    std::string text(name);
    if (!program_version.empty()) text.append(" ").append(program_version);
    return text + " (" + library + ")";
}

}  // namespace drover
