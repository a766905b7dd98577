// The files, or other targets of lines, that modules append to and the master opens: options declared with
// TextRule::master_file. Runs in: the config reader.
#pragma once

#include "conf/image/image.h"
#include "conf/options/options.h"
#include "conf/reader/document.h"

#include <string>
#include <string_view>

namespace drover {

// An option that is declared so must be called "log", "log_file", or something that ends with "_log" or
// "_log_file": the master has to know without module code which texts of the file it may take for files.
bool may_be_master_file(std::string_view key) noexcept;

// Why the value of such an option can be no target, to be put behind it; empty: it can.
std::string master_file_fault(std::string_view value);

// "FILE:LINE:COLUMN: module.http.access_log".
std::string master_file_place(const Document& document, const DocumentValue& value, const std::string& path);

// Adds an entry to `list` for each such option of the table that the file gives a value: "path" as the file
// has it, "module", "place" for messages ("FILE:LINE:COLUMN: module.http.access_log").
void collect_master_files(const OptionTable& options, const DocumentValue& table, const Document& document,
                          const std::string& module, ImageValue& list);

}  // namespace drover
