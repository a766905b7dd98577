// The files that modules append to and the master opens: options declared with TextRule::master_file.
// Runs in: the config reader.
#pragma once

#include "conf/document.h"
#include "conf/image.h"
#include "conf/options.h"

#include <string>

namespace drover {

// Adds an entry to `list` for each such option of the table that the file gives a value: "path" as the file
// has it, "module", "place" for messages ("FILE:LINE:COLUMN: module.http.access_log").
void collect_master_files(const OptionTable& options, const DocumentValue& table, const Document& document,
                          const std::string& module, ImageValue& list);

}  // namespace drover
