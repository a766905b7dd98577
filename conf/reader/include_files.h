// The files that `include` names, and how what they say is put together. Runs in: the config reader, and the
// command line (find_runtime_dir).
#pragma once

#include "conf/reader/document.h"

#include <functional>
#include <string>
#include <vector>

namespace drover {

inline constexpr std::size_t max_config_files = 256;

// The files that a pattern of glob(7) means, sorted by name; a relative one starts at `directory`. A pattern
// without wildcards means one file, whether it is there or not. Throws std::invalid_argument with the reason
// when a directory cannot be read, or there are more than max_config_files.
std::vector<std::string> find_included(const std::string& pattern, const std::string& directory);

// Puts the children of `from` into `into`: tables of one name are one table, lists of tables one list, in
// order. `on_duplicate` is told of every other name that is in both, of which the first stays.
void merge_tables(DocumentValue& into, DocumentValue from,
                  const std::function<void(const DocumentValue& first, const DocumentValue& second,
                                           const std::string& key)>& on_duplicate);

}  // namespace drover
