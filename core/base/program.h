// What program this is that Drover is built into: what it is called by and the version that its author gives
// it. Both are shown to operators, in log, status and `version`, and in titles, where the
// ready server has its name alone. Runs in: every process.
#pragma once

#include <string>
#include <string_view>

namespace drover {

struct Program {
    std::string name = "drover";  // the last part of argv[0]
    std::string version = {};     // empty: it has none
};

// "drover 0.1.0" of the ready server; of another program "items 1.4 (drover 0.1.0)".
std::string program_text(std::string_view name, std::string_view program_version,
                         std::string_view drover_version);

}  // namespace drover
