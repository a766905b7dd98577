// A directory as a page of links. Runs in: worker.
#pragma once

#include "core/unique_fd.h"

#include <optional>
#include <string>
#include <string_view>

namespace drover::http {

// Names are sorted, directories marked by a '/'; those that begin with a dot are left out, and what is more
// than 10,000. None when the directory cannot be read: errno says why.
std::optional<std::string> list_directory(const UniqueFd& directory, std::string_view title);

}  // namespace drover::http
