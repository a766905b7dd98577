// What a terminal sends for keys. Runs in: the command line.
#pragma once

#include "master/cli/top/screen.h"

#include <optional>
#include <string>

namespace drover::top {

// The first key of what was typed, taken out of it; none when nothing is left. A lone escape is Key::back:
// the bytes of one key must be there together.
std::optional<Key> take_key(std::string& typed);

}  // namespace drover::top
