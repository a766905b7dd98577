// ${NAME} in a configuration's texts: the environment's value of that name. Runs in: the config reader,
// before any module code, and the command line (find_runtime_dir).
#pragma once

#include "conf/document.h"

#include <functional>
#include <string>
#include <string_view>

namespace drover {

// ${NAME} is the value of NAME, which must be set; ${NAME:-TEXT} is TEXT where NAME is not set or empty; $${
// is
// ${ itself. What is put in is not looked at again. Throws std::invalid_argument that says what is wrong and
// what to do: a name that is not set, or is none, a brace that is missing, a value that is not UTF-8, more
// than `room` bytes.
std::string expand_variables(std::string_view text, std::size_t room = max_config_bytes);

// In every text below `value`, keys aside; together they may have `room` bytes, which are taken from it.
// `on_fault` is told of each text that cannot be expanded: it stays as it is.
void expand_variables(DocumentValue& value, std::size_t& room,
                      const std::function<void(SourcePlace place, const std::string& fault)>& on_fault);

}  // namespace drover
