#include "core/process_facts.h"

#include <ctime>
#include <fstream>

#include <unistd.h>

namespace drover {

namespace {

std::string read_proc(pid_t pid, const char* file) {
    std::ifstream stream("/proc/" + std::to_string(pid) + "/" + file);
    std::string text;
    std::getline(stream, text, '\0');
    return text;
}

}  // namespace

char state_in_kernel(pid_t pid) {
    const std::string stat = read_proc(pid, "stat");
    const std::size_t name_end = stat.rfind(')');
    return name_end == std::string::npos || name_end + 2 >= stat.size() ? '?' : stat[name_end + 2];
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
    const std::string name = read_proc(pid, "wchan");
    return name == "0" ? "" : name;
}

}  // namespace drover
