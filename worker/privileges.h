// What a child gives up of the master's rights. Runs in: worker and config reader, before any module code.
#pragma once

#include <string>
#include <vector>

namespace drover {

// Gives up for good what module code is not to have. In any case: new privileges by exec (no_new_privs),
// ambient and inheritable capabilities, and the bounding set where the process may (CAP_SETPCAP); and the
// entries "NAME=value" of `environment` are set.
//
// `user` is "USER" or "USER:GROUP", each a name or a number; without the group it is the user's own, or of
// the same number when there is no such user. Names are looked up here, in the child: the master asks no name
// service. Supplementary groups are those of initgroups(3), or none for a number without an entry.
//
// As root, with a `user` that is not root: the master's session keyring for an empty one, root's ids and
// supplementary groups for the user's, and the environment for PATH, LANG, LC_*, TZ, what sanitizers read,
// HOME of the user, and `environment`, whose "NAME" is the master's own value. The text of the old one is
// overwritten.
//
// Throws std::runtime_error: there is no such user or group, or std::system_error: a step failed.
void give_up_rights(const std::string& user, const std::vector<std::string>& environment = {});

// Raises the soft limit of descriptors to the hard one. Best effort.
void raise_descriptor_limit() noexcept;

}  // namespace drover
