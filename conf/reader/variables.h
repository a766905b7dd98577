// ${NAME} in a configuration's texts: the environment's value of that name. Runs in: the config reader,
// before any module code, and the command line (find_runtime_dir).
#pragma once

#include "conf/reader/document.h"

#include <functional>
#include <string>
#include <string_view>

namespace drover {

// ${NAME} is the value of NAME, which must be set; ${NAME:-TEXT} is TEXT where NAME is not set or empty; $${
// stands for ${. Values are not expanded in their turn. Throws std::invalid_argument that says what is wrong
// and what to do: a name is not set or not valid, a brace is missing, a value is not UTF-8, or there are more
// than `room` bytes.
std::string expand_variables(std::string_view text, std::size_t room = max_config_bytes);

// "; ${PORT} is the environment's value of PORT" for a text that has $PORT, as shells write it, else nothing.
std::string variable_hint(std::string_view text);

// In every text below `value`, keys aside; together they may have `room` bytes, which are taken from it.
// `on_fault` is told of each text that cannot be expanded: its value is unread.
void expand_variables(DocumentValue& value, std::size_t& room,
                      const std::function<void(SourcePlace place, const std::string& fault)>& on_fault);

}  // namespace drover
