// Giving up root. Runs in: worker and config reader, before any module code.
#pragma once

#include <string>

namespace drover {

// As root: takes the user's group and supplementary groups, then its uid, each for good, and sets
// no_new_privs. setgid and setuid alone would keep root's supplementary groups. Does nothing when `user` is
// empty or the process is not root. Throws std::runtime_error: there is no such user, or a step failed.
void become_user(const std::string& user);

// Raises the soft limit of descriptors to the hard one. Best effort.
void raise_descriptor_limit() noexcept;

}  // namespace drover
