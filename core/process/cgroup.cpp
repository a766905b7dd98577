#include "core/process/cgroup.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <limits>
#include <sstream>
#include <string_view>
#include <vector>

namespace drover {

namespace {

// Version 1 writes a number of about this size where there is no limit.
constexpr std::uint64_t no_memory_limit = std::uint64_t{1} << 60;
constexpr std::size_t most_levels = 64;

std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> parts;
    std::istringstream stream(text);
    for (std::string part; std::getline(stream, part, separator);)
        parts.push_back(part);
    return parts;
}

std::vector<std::string> lines_of(const std::string& path) {
    std::ifstream stream(path);
    std::vector<std::string> lines;
    for (std::string line; std::getline(stream, line);)
        lines.push_back(line);
    return lines;
}

std::optional<std::uint64_t> number_of(std::string_view text) {
    std::uint64_t number = 0;
    const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || rest != text.data() + text.size()) return {};
    return number;
}

// The words of a file's first line; none when it cannot be read.
std::vector<std::string> words_of(const std::string& path) {
    const std::vector<std::string> lines = lines_of(path);
    return lines.empty() ? std::vector<std::string>() : split(lines.front(), ' ');
}

// As mountinfo writes blanks: "\040".
std::string unescaped(std::string_view text) {
    std::string result;
    for (std::size_t at = 0; at < text.size(); ++at) {
        unsigned code = 0;
        const bool octal =
            text[at] == '\\' && at + 3 < text.size() &&
            std::from_chars(text.data() + at + 1, text.data() + at + 4, code, 8).ptr == text.data() + at + 4;
        result.push_back(octal ? static_cast<char>(code) : text[at]);
        if (octal) at += 3;
    }
    return result;
}

// A hierarchy of groups as it is mounted here: `top` is the group that `folder` shows.
struct Mount {
    std::string top;
    std::string folder;
};

// Which hierarchy: version 2, or the one of version 1 that has a controller.
struct Hierarchy {
    std::string_view controller;  // empty: version 2

    bool unified() const noexcept { return controller.empty(); }
    bool has(const std::string& controllers) const {
        if (unified()) return controllers.empty();
        const std::vector<std::string> all = split(controllers, ',');
        return std::ranges::find(all, controller) != all.end();
    }
};

// proc(5): "31 23 0:28 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw".
std::optional<Mount> find_mount(const std::string& root, const Hierarchy& hierarchy) {
    constexpr std::size_t top_field = 3;
    constexpr std::size_t folder_field = 4;
    for (const std::string& line : lines_of(root + "/proc/self/mountinfo")) {
        const std::vector<std::string> fields = split(line, ' ');
        const auto dash = std::ranges::find(fields, "-");
        if (fields.end() - dash < 4 || dash - fields.begin() <= std::ptrdiff_t{folder_field}) continue;
        const bool ours =
            hierarchy.unified() ? dash[1] == "cgroup2" : dash[1] == "cgroup" && hierarchy.has(dash[3]);
        if (ours) return Mount{unescaped(fields[top_field]), unescaped(fields[folder_field])};
    }
    return {};
}

// cgroups(7): "0::/user.slice" of version 2, "4:cpu,cpuacct:/user.slice" of version 1.
std::optional<std::string> find_group(const std::string& root, const Hierarchy& hierarchy) {
    for (const std::string& line : lines_of(root + "/proc/self/cgroup")) {
        const std::size_t first = line.find(':');
        const std::size_t second = first == line.npos ? first : line.find(':', first + 1);
        if (second != line.npos && hierarchy.has(line.substr(first + 1, second - first - 1)))
            return line.substr(second + 1);
    }
    return {};
}

// The folders of the process's group and of those above it, as far as they can be seen. A container may show
// its own group as the topmost one, under another name than the process's group has outside.
std::vector<std::string> find_folders(const std::string& root, const Hierarchy& hierarchy) {
    const auto mount = find_mount(root, hierarchy);
    const auto group = find_group(root, hierarchy);
    if (!mount || !group) return {};
    std::string below = *group;
    const bool from_outside = mount->top != "/" && below.starts_with(mount->top) &&
                              (below.size() == mount->top.size() || below[mount->top.size()] == '/');
    if (from_outside) below.erase(0, mount->top.size());
    if (mount->top != "/" && !from_outside) below.clear();
    if (below.find("/..") != below.npos) below.clear();
    std::vector<std::string> folders;
    while (folders.size() < most_levels && below.size() > 1) {
        folders.push_back(mount->folder + below);
        below.erase(below.rfind('/'));
    }
    folders.push_back(mount->folder);
    return folders;
}

std::optional<ProcessorQuota> quota_of(std::string_view quota, std::string_view period, std::string folder) {
    const auto quota_us = number_of(quota);
    const auto period_us = number_of(period);
    if (!quota_us || !period_us || *quota_us == 0 || *period_us == 0) return {};
    return ProcessorQuota{*quota_us, *period_us, std::move(folder)};
}

std::optional<ProcessorQuota> read_quota(const std::string& root, const Hierarchy& hierarchy,
                                         const std::string& folder) {
    if (hierarchy.unified()) {
        const std::vector<std::string> words = words_of(root + folder + "/cpu.max");
        return words.size() == 2 ? quota_of(words[0], words[1], folder) : std::nullopt;
    }
    const std::vector<std::string> quota = words_of(root + folder + "/cpu.cfs_quota_us");
    const std::vector<std::string> period = words_of(root + folder + "/cpu.cfs_period_us");
    if (quota.size() != 1 || period.size() != 1) return {};
    return quota_of(quota[0], period[0], folder);
}

std::optional<MemoryLimit> read_memory(const std::string& root, const Hierarchy& hierarchy,
                                       const std::string& folder) {
    const char* const file = hierarchy.unified() ? "/memory.max" : "/memory.limit_in_bytes";
    const std::vector<std::string> words = words_of(root + folder + file);
    const auto bytes = words.size() == 1 ? number_of(words[0]) : std::nullopt;
    if (!bytes || *bytes == 0 || *bytes >= no_memory_limit) return {};
    return MemoryLimit{*bytes, folder};
}

double share(const ProcessorQuota& quota) noexcept {
    return static_cast<double>(quota.quota_us) / static_cast<double>(quota.period_us);
}

}  // namespace

unsigned ProcessorQuota::processors() const noexcept {
    const std::uint64_t started = quota_us / period_us + (quota_us % period_us != 0 ? 1 : 0);
    return static_cast<unsigned>(std::clamp<std::uint64_t>(started, 1, std::numeric_limits<unsigned>::max()));
}

std::optional<ProcessorQuota> find_processor_quota(const std::string& root) {
    std::optional<ProcessorQuota> least;
    for (const Hierarchy hierarchy : {Hierarchy{""}, Hierarchy{"cpu"}}) {
        for (const std::string& folder : find_folders(root, hierarchy)) {
            const auto quota = read_quota(root, hierarchy, folder);
            if (quota && (!least || share(*quota) < share(*least))) least = quota;
        }
    }
    return least;
}

std::optional<MemoryLimit> find_memory_limit(const std::string& root) {
    std::optional<MemoryLimit> least;
    for (const Hierarchy hierarchy : {Hierarchy{""}, Hierarchy{"memory"}}) {
        for (const std::string& folder : find_folders(root, hierarchy)) {
            const auto limit = read_memory(root, hierarchy, folder);
            if (limit && (!least || limit->bytes < least->bytes)) least = limit;
        }
    }
    return least;
}

}  // namespace drover
