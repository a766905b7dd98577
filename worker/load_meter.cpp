#include "worker/load_meter.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <ctime>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace drover {

namespace {

std::int64_t clock_us(clockid_t clock) noexcept {
    timespec time{};
    ::clock_gettime(clock, &time);
    return std::int64_t{time.tv_sec} * 1'000'000 + time.tv_nsec / 1000;
}

constexpr std::int64_t probe_us = std::chrono::microseconds(LoadMeter::probe_interval).count();

}  // namespace

LoadMeter::LoadMeter(EventLoop& loop)
    : probe_(loop, Timer::Handler::to<&LoadMeter::on_probe>(this)),
      statm_(::open("/proc/self/statm", O_RDONLY | O_CLOEXEC)),
      expected_us_(clock_us(CLOCK_MONOTONIC) + probe_us) {
    probe_.start_once(probe_interval);
}

void LoadMeter::on_probe() {
    const std::int64_t now = clock_us(CLOCK_MONOTONIC);
    const std::int64_t lag = std::max<std::int64_t>(0, now - expected_us_);
    largest_lag_us_ = std::max(largest_lag_us_, static_cast<std::uint64_t>(lag));
    expected_us_ = now + probe_us;
    probe_.start_once(probe_interval);
}

std::uint64_t LoadMeter::take_largest_lag_us() noexcept {
    const std::int64_t overdue = clock_us(CLOCK_MONOTONIC) - expected_us_;
    const auto lag =
        std::max(largest_lag_us_, static_cast<std::uint64_t>(std::max<std::int64_t>(0, overdue)));
    largest_lag_us_ = 0;
    return lag;
}

std::uint64_t LoadMeter::cpu_us() noexcept {
    return static_cast<std::uint64_t>(clock_us(CLOCK_PROCESS_CPUTIME_ID));
}

std::uint64_t LoadMeter::open_descriptors() noexcept {
    // Since Linux 6.2 the directory's size says it.
    struct stat status {};
    if (::stat("/proc/self/fd", &status) == 0 && status.st_size > 0)
        return static_cast<std::uint64_t>(status.st_size);
    const UniqueFd directory(::open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory) return 0;
    alignas(dirent64) char entries[4096];
    std::uint64_t count = 0;
    long size = 0;
    while ((size = ::syscall(SYS_getdents64, directory.get(), entries, sizeof entries)) > 0) {
        for (long at = 0; at < size; ++count)
            at += reinterpret_cast<const dirent64*>(entries + at)->d_reclen;
    }
    // "." and "..", and the directory itself
    return count - std::min<std::uint64_t>(count, 3);
}

std::uint64_t LoadMeter::resident_bytes() const noexcept {
    std::array<char, 128> text{};
    const ssize_t size = ::pread(statm_.get(), text.data(), text.size(), 0);
    if (size <= 0) return 0;
    // "size resident shared ...", in pages
    const char* const end = text.data() + size;
    const char* const blank = std::find(text.data(), text.data() + size, ' ');
    std::uint64_t pages = 0;
    if (blank == end || std::from_chars(blank + 1, end, pages).ec != std::errc()) return 0;
    return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace drover
