// What a path of a request means, however it was written: so that "/a/../b", "/%62" and "//b" are answered as
// "/b" is, and no way of writing leads around a route. Runs in: worker.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace drover::http {

// Decodes escapes, then removes empty, "." and ".." segments; a '/' at the end stays. `path` starts with '/'.
// The result is `path` itself when there is nothing to do, else a view of `scratch`. No value when the path
// names nothing: a wrong escape, a NUL, or ".." above the root.
std::optional<std::string_view> resolve_path(std::string_view path, std::string& scratch);

// `path` with what may not stand in a target or in HTML written as %XX.
void append_escaped_path(std::string& out, std::string_view path);
// Text for HTML.
void append_escaped_html(std::string& out, std::string_view text);

}  // namespace drover::http
