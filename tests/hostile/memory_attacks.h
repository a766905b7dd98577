// What code that an attacker has brought into a worker can try against the counters: to get at memory that
// others write or go by, and to make its own row a trap for whoever reads it. Runs in: tests.
#pragma once

#include <string>

namespace drover::hostile {

// Tries every way to memory of the service that is not this worker's own row. What has worked, a line each;
// empty when nothing has.
std::string climb_walls();

// Random bytes all over what this process can write of the service's memory, again and again, in a thread;
// now and then the memory is taken away (a hole). Never ends.
void scribble();

// A child that keeps the row and goes on scribbling, whatever becomes of this worker, while `path` exists.
void leave_scribbler(const std::string& path);

}  // namespace drover::hostile
