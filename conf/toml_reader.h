// Reads a TOML file into a Document. toml_reader.cpp is the only file that includes toml++.
// Runs in: the config reader, and the command line (find_runtime_dir).
#pragma once

#include "conf/document.h"

#include <string>

namespace drover {

// Throws ConfigError: the file is missing, unreadable, not a regular file (a FIFO is not waited for), larger
// than max_config_bytes, not UTF-8, nested too deeply, or not TOML.
// [observer] has become a pool (conf/observer.h).
Document read_toml(const std::string& path);
Document parse_toml(std::string_view text, const std::string& path);

// The value of runtime_dir in [master], absolute, from a file that may no longer parse (a line-by-line look);
// the default when the key is not there. Throws ConfigError when the file cannot be read.
std::string find_runtime_dir(const std::string& path);

}  // namespace drover
