// The text of a configuration file before anything parses it: reading it without being held up or exhausted
// by what is no configuration, and the checks that a parser must be spared. Runs in: the config reader and
// the command line.
#pragma once

#include "conf/reader/document.h"

#include <string>
#include <string_view>

namespace drover {

// Throws ConfigError: missing, unreadable, not a regular file, too large, or changing while it is read.
std::string load_config_text(const std::string& path);

// Throws ConfigError: a NUL byte, bytes that are no UTF-8, or keys and values nested beyond max_config_depth.
// toml++ 3.3 limits brackets only: a key of a million dots makes a tree whose destruction overflows the
// stack.
void check_config_text(std::string_view text, const std::string& path);

// The value of runtime_dir in [master] as a line-by-line look finds it, in a text that need not be TOML;
// empty when it is not there.
std::string scan_runtime_dir(std::string_view text);

// `path` made absolute and free of "." and ".."; symbolic links stay.
std::string absolute_config_path(const std::string& path);

}  // namespace drover
