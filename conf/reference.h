// What people read of the declarations and of an image: `drover help config`, the JSON schema for editors,
// and `drover config`. Runs in: the command line and the master's control socket.
#pragma once

#include "conf/checker.h"
#include "conf/image.h"

#include <span>
#include <string>
#include <string_view>

namespace drover {

// Every key with type, default, bounds, how a change is applied, help.
std::string configuration_reference(std::span<const ModuleDeclaration> modules);
// The same in the form of scdoc(5), from its DESCRIPTION on.
std::string configuration_manual_body(std::span<const ModuleDeclaration> modules);
// A text in which scdoc sees no mark-up.
std::string manual_text(std::string_view text);
// JSON schema (draft-07) of the whole file; conf/drover.schema.json is this text.
std::string configuration_schema(std::span<const ModuleDeclaration> modules);
// The image as TOML that reads back to the same image; defaults included, marked by a comment.
std::string to_toml(const Image& image);
std::string to_json(const Image& image);

}  // namespace drover
