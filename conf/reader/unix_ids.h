// The users and groups that a configuration names, as numbers: the master asks no name service. Runs in: the
// config reader, before module code.
#pragma once

#include <optional>
#include <string>

namespace drover {

enum class UnixId { user, group };

// "33" of "www-data" or "33"; "" of "". None: there is no such user or group.
std::optional<std::string> find_unix_id(UnixId kind, const std::string& name);

}  // namespace drover
