#include "core/process/process_facts.h"

#include <ctime>
#include <fstream>

#include <unistd.h>

namespace drover {

std::string process_file(pid_t pid, const char* name) {
    std::ifstream stream("/proc/" + std::to_string(pid) + "/" + name);
    std::string text;
    std::getline(stream, text, '\0');
    return text;
}

std::string stat_field(pid_t pid, unsigned number) {
    constexpr unsigned first = 3;  // behind the name, which is in parentheses
    const std::string stat = process_file(pid, "stat");
    std::size_t begin = stat.rfind(") ");
    if (begin == stat.npos) return {};
    ++begin;
    for (unsigned field = first; field < number && begin != stat.npos; ++field)
        begin = stat.find(' ', begin + 1);
    return begin == stat.npos ? std::string() : stat.substr(begin + 1, stat.find(' ', begin + 1) - begin - 1);
}

char state_in_kernel(pid_t pid) {
    const std::string state = stat_field(pid, 3);
    return state.empty() ? '?' : state.front();
}

std::uint64_t resident_bytes_of(pid_t pid) {
    std::ifstream stream("/proc/" + std::to_string(pid) + "/statm");
    std::uint64_t size = 0;
    std::uint64_t resident = 0;
    stream >> size >> resident;
    return stream ? resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) : 0;
}

std::uint64_t processor_time_us_of(pid_t pid) {
    clockid_t clock{};
    timespec time{};
    if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &time) != 0) return 0;
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000 +
           static_cast<std::uint64_t>(time.tv_nsec) / 1000;
}

std::string wait_channel(pid_t pid) {
    const std::string name = process_file(pid, "wchan");
    return name == "0" ? "" : name;
}

}  // namespace drover
