// A directory as a page of links. Runs in: worker.
#pragma once

#include "core/base/unique_fd.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace drover::http {

// Names on a page. Each costs a look at the file.
inline constexpr std::size_t max_listed_names = 2'000;
// Names of a directory that are read at all: the worker's other connections wait meanwhile.
inline constexpr std::size_t max_read_names = 100'000;

// The first names in the order of their bytes, each with size and time of its last change (UTC), directories
// marked by a '/'; the page says how many it leaves out. A link has neither size nor time: its target may be
// outside of the root. Names that begin with a dot are left out. No value when the directory cannot be read:
// errno says why.
std::optional<std::string> list_directory(const UniqueFd& directory, std::string_view title);

}  // namespace drover::http
