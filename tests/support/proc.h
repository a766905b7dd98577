// What /proc says of other processes. Runs in: tests.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace drover::test {

std::vector<pid_t> children_of(pid_t pid);    // empty when it is gone; zombies included
std::vector<pid_t> workers_of(pid_t master);  // its children with a worker's title, Drover's or nginx's
std::size_t count_fds_of(pid_t pid);
std::string descriptors_of(pid_t pid);  // a line each: what they lead to
// Its descriptors of files whose path begins so; none when the process is gone.
std::vector<int> fds_of(pid_t pid, std::string_view path);
// Proportional set size without the program's own pages: their share depends on who else runs the program.
std::size_t pss_kb_of(pid_t pid);
std::string command_line_of(pid_t pid);  // arguments joined by spaces: the process title
std::string status_field_of(pid_t pid,
                            std::string_view name);  // "Groups" of /proc/PID/status; "" when there is none
char state_of(pid_t pid);                            // 'R', 'S', 'T', 'Z' ...; '-' when it is gone
pid_t process_group_of(pid_t pid);

}  // namespace drover::test
