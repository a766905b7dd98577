// Checks one table of a Document against its declaration, and makes the value that goes into the image: every
// declared key, with its default where the file is silent. Runs in: the config reader.
#pragma once

#include "conf/image/image.h"
#include "conf/options/findings.h"
#include "conf/options/options.h"
#include "conf/reader/document.h"

#include <string>

namespace drover {

// Faults are in `findings`; the value is then made of defaults where the file's cannot be used. `path` names
// the table in messages ("pool.main").
ImageValue check_table(const OptionTable& options, const DocumentValue& table, const std::string& path,
                       Findings& findings);

// The table as it stands when the file does not mention it. Required keys are not missed here.
ImageValue default_table(const OptionTable& options);

// One key of it.
ImageValue default_value(const OptionKey& key);
bool is_required(const OptionKey& key) noexcept;

// The names that `options` declares, for suggestions.
std::vector<std::string> key_names(const OptionTable& options);

// "1 to 1024, or "auto"", "at least 10ms": what the declaration allows; empty when it allows everything.
std::string bounds_text(const OptionKey& key);

// False, with a finding, when `value` is not of `kind`.
bool expect_kind(const DocumentValue& value, DocumentKind kind, const std::string& path, Findings& findings);

}  // namespace drover
