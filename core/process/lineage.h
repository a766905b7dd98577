// The lineage of a process: its children and all that they ever start. Each carries a mark that fork and exec
// pass on and that nobody without CAP_SYS_RESOURCE can take off, so that it is known again when its own
// parents are gone and it has become the child of somebody else (PR_SET_CHILD_SUBREAPER). Runs in: the master
// and its children.
#pragma once

#include <vector>

#include <sys/types.h>

namespace drover {

// Orphans of our descendants become our children from now on, instead of those of PID 1.
void adopt_orphans() noexcept;

// In a forked child: marks it as one of its parent's lineage.
void join_lineage() noexcept;

// Our children of our lineage, until they are reaped: those that we have forked, and orphans. Children that
// we had before, and strangers that are given to PID 1, do not count.
std::vector<pid_t> children_of_lineage();

}  // namespace drover
