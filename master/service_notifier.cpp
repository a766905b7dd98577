#include "master/service_notifier.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

#include <fmt/format.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

namespace drover {

namespace {

std::optional<std::string> take_variable(const char* name) {
    const char* value = ::getenv(name);
    std::optional<std::string> taken;
    if (value != nullptr) taken = value;
    ::unsetenv(name);
    return taken;
}

std::optional<std::int64_t> to_number(const std::optional<std::string>& text) noexcept {
    if (!text) return std::nullopt;
    std::int64_t number = 0;
    const char* last = text->data() + text->size();
    const auto [end, error] = std::from_chars(text->data(), last, number);
    if (error != std::errc{} || end != last || number <= 0) return std::nullopt;
    return number;
}

// A newline would begin another assignment.
std::string one_line(std::string_view text) {
    std::string line(text.substr(0, ServiceNotifier::max_status));
    std::ranges::replace_if(
        line, [](char byte) { return static_cast<unsigned char>(byte) < 0x20; }, ' ');
    return line;
}

}  // namespace

ServiceNotifier::ServiceNotifier() {
    const std::optional<std::string> path = take_variable("NOTIFY_SOCKET");
    const std::optional<std::int64_t> period_us = to_number(take_variable("WATCHDOG_USEC"));
    const std::optional<std::string> watched = take_variable("WATCHDOG_PID");
    if (!path || (!path->starts_with('/') && !path->starts_with('@'))) return;
    try {
        address_ = Address::parse("unix:" + *path);
    } catch (const std::invalid_argument&) {
        return;
    }
    socket_ = UniqueFd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const bool ours = !watched || to_number(watched) == ::getpid();
    if (!socket_ || !period_us || !ours) return;
    watchdog_interval_ = std::chrono::milliseconds(std::max<std::int64_t>(*period_us / 2000, 1));
}

void ServiceNotifier::send(std::string_view message) const noexcept {
    if (!socket_) return;
    ::sendto(socket_.get(), message.data(), message.size(), MSG_DONTWAIT | MSG_NOSIGNAL, address_.data(),
             address_.size());
}

void ServiceNotifier::ready(std::string_view status) const noexcept {
    send(fmt::format("READY=1\nMAINPID={}\nSTATUS={}", ::getpid(), one_line(status)));
}

void ServiceNotifier::reloading() const noexcept {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    const std::int64_t now_us = std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
    send(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", now_us));
}

void ServiceNotifier::stopping() const noexcept {
    send("STOPPING=1");
}

void ServiceNotifier::status(std::string_view text) const noexcept {
    send(fmt::format("STATUS={}", one_line(text)));
}

void ServiceNotifier::watchdog() const noexcept {
    send("WATCHDOG=1");
}

}  // namespace drover
