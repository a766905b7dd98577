// What people read of the declarations and of an image: `drover help config`, the JSON schema for editors,
// and `drover config`. Runs in: the command line and the master's control socket.
#pragma once

#include "conf/image/image.h"
#include "conf/reader/checker.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace drover {

// Every key with type, default, bounds, how a change is applied, help.
std::string configuration_reference(std::span<const ModuleDeclaration> modules);
// The same in the form of scdoc(5), from its DESCRIPTION on.
std::string configuration_manual_body(std::span<const ModuleDeclaration> modules);
// A text in which scdoc sees no mark-up.
std::string manual_text(std::string_view text);
// JSON schema (draft-07) of the whole file; conf/drover.schema.json is this text.
std::string configuration_schema(std::span<const ModuleDeclaration> modules);
// The image as TOML that reads back to the same image, but for what is masked; defaults are included, marked
// by a comment, and what "auto" and shares came to stands in one.
std::string to_toml(const Image& image);
// The same numbers, each with its key: "pool.main.memory_limit 120M".
std::vector<std::string> automatic_values(const Image& image);
std::string to_json(const Image& image);

}  // namespace drover
