#include "core/log/log_target.h"

#include "core/base/system_error.h"
#include "core/log/log_path.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace drover {

namespace {

constexpr std::string_view standard_output = "stdout";
constexpr std::string_view standard_error = "stderr";
constexpr std::string_view journal_word = "journal";
constexpr std::string_view journal_prefix = "journal:";
constexpr std::string_view fifo_prefix = "fifo:";
constexpr std::string_view default_journal = "/run/systemd/journal/socket";
// What may be on its way to the journal, as far as the kernel lets us (net.core.wmem_max).
constexpr int journal_buffer = 1024 * 1024;

bool names_stream(std::string_view name) noexcept {
    return name == standard_output || name == standard_error;
}

bool names_journal(std::string_view name) noexcept {
    return name == journal_word || name.starts_with(journal_prefix);
}

std::string_view journal_path(std::string_view name) noexcept {
    return name == journal_word ? default_journal : name.substr(journal_prefix.size());
}

UniqueFd make_journal_socket() noexcept {
    UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) return socket;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDBUF, &journal_buffer, sizeof journal_buffer);
    return socket;
}

LogTarget open_stream(const std::string& name) {
    const int stream = name == standard_output ? STDOUT_FILENO : STDERR_FILENO;
    return {UniqueFd(check_call(reopen_for_appending(stream).release(), "open", name)), name};
}

LogTarget open_journal(const std::string& name) {
    LogTarget journal{UniqueFd(check_call(make_journal_socket().release(), "socket")), name};
    if (!connect_journal(journal.fd.get(), name))
        throw_errno("connect", std::string(journal_path(name)) + " as the journal");
    return journal;
}

}  // namespace

bool LogTarget::moved() const {
    if (name.empty() || names_stream(name) || is_journal()) return false;
    return !names_file(name.substr(is_fifo() ? fifo_prefix.size() : 0), fd.get());
}

bool LogTarget::is_fifo() const noexcept {
    return name.starts_with(fifo_prefix);
}

bool LogTarget::is_journal() const noexcept {
    return names_journal(name);
}

UniqueFd LogTarget::reopen() const noexcept {
    if (!is_journal()) return reopen_for_appending(fd.get());
    UniqueFd socket = make_journal_socket();
    if (socket) connect_journal(socket.get(), name);
    return socket;
}

bool connect_journal(int socket, std::string_view name) noexcept {
    const std::string_view path = journal_path(name);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path) {
        errno = path.empty() ? ENOENT : ENAMETOOLONG;
        return false;
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    return ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

LogTarget open_log_target(const std::string& name) {
    if (const std::string fault = log_target_fault(name); !fault.empty()) throw_error(EINVAL, "open", fault);
    if (names_stream(name)) return open_stream(name);
    if (names_journal(name)) return open_journal(name);
    if (name.starts_with(fifo_prefix)) return {open_log_fifo(name.substr(fifo_prefix.size())), name};
    return {open_log_path(name), name};
}

void check_log_target(const std::string& name) {
    if (names_stream(name)) return;
    if (names_journal(name)) {
        open_journal(name);
    } else if (name.starts_with(fifo_prefix)) {
        check_log_fifo(name.substr(fifo_prefix.size()));
    } else {
        check_log_path(name);
    }
}

std::string absolute_log_target(std::string_view name, const std::string& directory) {
    if (names_stream(name) || name == journal_word) return std::string(name);
    std::string_view path = name;
    for (const std::string_view prefix : {journal_prefix, fifo_prefix}) {
        if (name.starts_with(prefix)) path.remove_prefix(prefix.size());
    }
    const std::string_view prefix = name.substr(0, name.size() - path.size());
    if (path.empty()) return std::string(name);
    return std::string(prefix) + (std::filesystem::path(directory) / path).lexically_normal().string();
}

std::string log_target_fault(std::string_view name) {
    for (const std::string_view prefix : {journal_prefix, fifo_prefix}) {
        if (name == prefix)
            return fmt::format("\"{}\" needs a path, such as \"{}/run/drover.log\"", name, prefix);
    }
    constexpr std::size_t longest = sizeof sockaddr_un{}.sun_path - 1;
    if (!name.starts_with(journal_prefix) || journal_path(name).size() <= longest) return "";
    return fmt::format("the path of a journal's socket has at most {} bytes, this one {}", longest,
                       journal_path(name).size());
}

}  // namespace drover
