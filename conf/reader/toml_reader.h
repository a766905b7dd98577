// Reads a TOML file into a Document. toml_reader.cpp is the only file that includes toml++.
// Runs in: the config reader, and the command line (find_runtime_dir).
#pragma once

#include "conf/reader/document.h"

#include <string>

namespace drover {

// The file and those that it includes, with the environment's values put in; [observer] has become a pool
// (conf/observer.h). That a variable is not set, or a key stands twice, is in Document::faults. Throws
// ConfigError: a file is missing, unreadable, not a regular one (a FIFO is not waited for), not UTF-8, nested
// too deeply, or not TOML; together they are larger than max_config_bytes.
Document read_toml(const std::string& path);
Document parse_toml(std::string_view text, const std::string& path);

// The value of runtime_dir in [master], absolute, from files that may no longer parse (a line-by-line look);
// the default when the key is not there. Throws ConfigError when the main file cannot be read, or the value
// has a variable that is not set.
std::string find_runtime_dir(const std::string& path);

}  // namespace drover
