// What a configuration makes the master do with its own rights (whom workers become, what they get of its
// environment, which files and addresses it opens, whose a unix path becomes, where relative paths start), as
// one text. The config reader sends the text of the file before any module code runs; the master compares it
// with the text of the image that comes later, which module code could have forged. Runs in: config reader
// (of a document), master (of settings).
#pragma once

#include "conf/reader/document.h"
#include "conf/settings.h"

#include <string>
#include <string_view>

namespace drover {

// Of a document that is wrong in other ways it is some text.
std::string privileged_values(const Document& document);
std::string privileged_values(const Settings& settings);

// The texts in modules' tables that the master may open as files, with module and place: those of keys that
// are named as such files are (may_be_master_file). Which keys are declared so is known only when module code
// has run.
std::string privileged_files(const Document& document);
// True when `rights`, the two texts of a document one after the other and nothing else, allow all that the
// settings ask for.
bool allows(std::string_view rights, const Settings& settings);

}  // namespace drover
