#include "tests/support/proc.h"

#include "tests/support/temporary_folder.h"

#include <algorithm>
#include <filesystem>
#include <sstream>

#include <unistd.h>

namespace drover::test {
namespace {

std::string proc_file(pid_t pid, std::string_view name) {
    return read_file("/proc/" + std::to_string(pid) + "/" + std::string(name));
}

std::string field(const std::string& text, std::string_view name) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with(name) || line.size() <= name.size() || line[name.size()] != ':') continue;
        const std::size_t start = line.find_first_not_of(" \t", name.size() + 1);
        return start == std::string::npos ? "" : line.substr(start, line.find_last_not_of(" \t") - start + 1);
    }
    return "";
}

}  // namespace

// /proc/PID/task/TID/children depends on a kernel option, so the parents of all processes are read.
std::vector<pid_t> children_of(pid_t pid) {
    std::vector<pid_t> children;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
        const std::string name = entry.path().filename();
        if (!std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; })) continue;
        const pid_t candidate = std::stoi(name);
        if (status_field_of(candidate, "PPid") == std::to_string(pid)) children.push_back(candidate);
    }
    std::sort(children.begin(), children.end());
    return children;
}

std::vector<pid_t> workers_of(pid_t master) {
    std::vector<pid_t> workers;
    for (const pid_t child : children_of(master)) {
        const std::string title = command_line_of(child);
        if (title.find(": worker ") != title.npos)  // Drover's, and nginx's
            workers.push_back(child);
    }
    return workers;
}

std::size_t count_fds_of(pid_t pid) {
    const std::filesystem::directory_iterator entries("/proc/" + std::to_string(pid) + "/fd");
    return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
}

std::string descriptors_of(pid_t pid) {
    std::string lines;
    std::error_code gone;
    for (const auto& entry :
         std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd", gone))
        lines += std::filesystem::read_symlink(entry.path(), gone).string() + "\n";
    return lines;
}

std::vector<int> fds_of(pid_t pid, std::string_view path) {
    std::vector<int> fds;
    std::error_code gone;
    for (const auto& entry :
         std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd", gone)) {
        if (std::filesystem::read_symlink(entry.path(), gone).string().starts_with(path))
            fds.push_back(std::stoi(entry.path().filename()));
    }
    return fds;
}

std::size_t pss_kb_of(pid_t pid) {
    const std::string rollup = proc_file(pid, "smaps_rollup");
    std::size_t sum = 0;
    for (const char* part : {"Pss_Anon", "Pss_Shmem"}) {
        const std::string value = field(rollup, part);
        sum += value.empty() ? 0 : std::stoul(value);
    }
    return sum;
}

std::string command_line_of(pid_t pid) {
    std::string text = proc_file(pid, "cmdline");
    while (!text.empty() && text.back() == '\0')
        text.pop_back();
    std::replace(text.begin(), text.end(), '\0', ' ');
    return text;
}

std::string status_field_of(pid_t pid, std::string_view name) {
    return field(proc_file(pid, "status"), name);
}

char state_of(pid_t pid) {
    const std::string state = status_field_of(pid, "State");
    return state.empty() ? '-' : state.front();
}

pid_t process_group_of(pid_t pid) {
    return getpgid(pid);
}

}  // namespace drover::test
