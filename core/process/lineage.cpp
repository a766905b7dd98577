#include "core/process/lineage.h"

#include "core/process/process_facts.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <string>
#include <string_view>

#include <dirent.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

namespace drover {

namespace {

// The mark is a hard limit of RLIMIT_RTTIME, microseconds that a realtime process may take without a pause:
// so large that it limits nothing. Lower ones are marks, too: a process that lowers its limit keeps its mark,
// and a master among the descendants of another marks its own with the next lower one.
constexpr rlim_t highest_mark = rlim_t{1} << 62U;

rlim_t mark_of_children() noexcept {
    rlimit own{};
    ::getrlimit(RLIMIT_RTTIME, &own);
    return std::min(highest_mark, std::max<rlim_t>(own.rlim_max, 1) - 1);
}

// proc(5), limits: its name, the soft limit, the hard one. prlimit(2) would need CAP_SYS_RESOURCE.
bool has_mark(pid_t pid) {
    constexpr std::string_view name = "Max realtime timeout";
    const std::string text = process_file(pid, "limits");
    const std::size_t line = text.find(name);
    if (line == text.npos) return false;
    const std::size_t soft = text.find_first_not_of(' ', line + name.size());
    const std::size_t hard = text.find_first_not_of(' ', text.find(' ', soft));
    if (soft == text.npos || hard == text.npos) return false;
    rlim_t limit = RLIM_INFINITY;
    std::from_chars(text.data() + hard, text.data() + text.size(), limit);
    return limit <= mark_of_children();
}

bool is_child(pid_t pid) {
    return stat_field(pid, 4) == std::to_string(::getpid());
}

}  // namespace

void adopt_orphans() noexcept {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

void join_lineage() noexcept {
    const rlim_t mark = mark_of_children();
    rlimit limit{};
    ::getrlimit(RLIMIT_RTTIME, &limit);
    limit = {std::min(limit.rlim_cur, mark), mark};
    ::setrlimit(RLIMIT_RTTIME, &limit);
}

std::vector<pid_t> children_of_lineage() {
    std::vector<pid_t> children;
    const std::unique_ptr<DIR, int (*)(DIR*)> processes(::opendir("/proc"), ::closedir);
    while (const dirent* const entry = processes ? ::readdir(processes.get()) : nullptr) {
        const std::string_view name = entry->d_name;
        pid_t pid = 0;
        const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
        if (error != std::errc() || end != name.data() + name.size()) continue;
        if (is_child(pid) && has_mark(pid)) children.push_back(pid);
    }
    return children;
}

}  // namespace drover
