#include "master/control/control_client.h"

#include "core/base/system_error.h"
#include "core/base/unique_fd.h"
#include "core/protocol/packet.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

namespace drover {

namespace {

// The server sends at most 4 MiB at a time; whoever sends more is no master.
constexpr std::size_t max_reply = 16 * 1024 * 1024;
// From the end of the connection to the end of a master that has not said that it will stop.
constexpr std::chrono::milliseconds exit_grace{10'000};

using Clock = std::chrono::steady_clock;

// Where a call has one: within that time everything is answered.
struct TimeLimit {
    std::chrono::milliseconds length;
    Clock::time_point end = Clock::now() + length;

    int left_ms() const noexcept {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
        return static_cast<int>(std::max<std::int64_t>(left.count(), 0));
    }
    [[noreturn]] void say_that_it_is_over() const {
        throw std::runtime_error(fmt::format("the master does not answer within {:g} s",
                                             std::chrono::duration<double>(length).count()));
    }
};

// Until something has come from the master, or its silence has been told.
class Silence {
  public:
    explicit Silence(const SilenceNotice& notice) : limit_{.length = notice.after}, tell_(notice.tell) {}

    bool watched() const noexcept { return static_cast<bool>(tell_); }
    int left_ms() const noexcept { return watched() ? limit_.left_ms() : -1; }
    void end() noexcept { tell_ = nullptr; }
    void tell() {
        if (const auto tell = std::exchange(tell_, nullptr)) tell();
    }

  private:
    TimeLimit limit_;
    std::function<void()> tell_;
};

// connect(2) waits while the queue of a master that accepts nobody is full. 0: without a limit.
void limit_connecting(int socket, int left) {
    const timeval time{.tv_sec = left / 1000, .tv_usec = suseconds_t{left} % 1000 * 1000};
    check_call(::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time), "setsockopt",
               "SO_SNDTIMEO");
}

UniqueFd connect_to(const std::string& path, const std::optional<TimeLimit>& limit, Silence& silence) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path) throw_error(ENAMETOOLONG, "connect", path);
    std::memcpy(address.sun_path, path.data(), path.size());
    UniqueFd socket(check_call(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
    const auto* name = reinterpret_cast<const sockaddr*>(&address);
    if (limit || silence.watched())
        limit_connecting(socket.get(), std::max(limit ? limit->left_ms() : silence.left_ms(), 1));
    int result = ::connect(socket.get(), name, sizeof address);
    if (result != 0 && errno == EAGAIN && limit) limit->say_that_it_is_over();
    if (result != 0 && errno == EAGAIN && silence.watched()) {
        silence.tell();
        limit_connecting(socket.get(), 0);
        result = ::connect(socket.get(), name, sizeof address);
    }
    check_call(result, "connect", path);
    return socket;
}

class MasterConnection {
  public:
    MasterConnection(const std::string& path, TimeLimit limit) : MasterConnection(path, limit, {}) {}
    MasterConnection(const std::string& path, const SilenceNotice& silence)
        : MasterConnection(path, std::nullopt, silence) {}

    pid_t pid() const noexcept { return pid_; }

    // An error shows when the answer is read: a master that refuses us before it has read anything says why.
    void send(std::string_view bytes) noexcept {
        while (!bytes.empty()) {
            const ssize_t size = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (size < 0 && errno == EINTR) continue;
            if (size < 0) return;
            bytes.remove_prefix(static_cast<std::size_t>(size));
        }
    }

    // None when the connection has ended, or nobody reads from `reader_fd` any more (-1: nobody has to).
    std::optional<std::string> read_line(int reader_fd = -1) {
        for (;;) {
            const std::size_t newline = unread_.find('\n');
            if (newline != unread_.npos) {
                std::string line = unread_.substr(0, newline);
                unread_.erase(0, newline + 1);
                return line;
            }
            if (unread_.size() > max_reply) return std::nullopt;
            if (reader_fd >= 0 && !wait_for_input(reader_fd)) return std::nullopt;
            if (!receive()) return std::nullopt;
        }
    }

    // The first line that is no progress.
    ControlReply read_reply(const ProgressHandler& on_progress) {
        while (const std::optional<std::string> line = read_line()) {
            ControlReply reply = parse_control_reply(*line);
            if (reply.kind == ControlReply::Kind::garbage) {
                return {reply.kind, fmt::format("the master's answer is garbage: {}", reply.text)};
            }
            if (reply.kind != ControlReply::Kind::progress) return reply;
            if (on_progress) on_progress(reply.text);
        }
        return {ControlReply::Kind::progress, "the master closed the connection without an answer"};
    }

    // The first line that is no event; none when nobody wants more of them.
    std::optional<ControlReply> read_events(const EventHandler& on_event, int reader_fd) {
        while (const std::optional<std::string> line = read_line(reader_fd)) {
            ControlReply reply = parse_control_reply(*line);
            if (reply.kind != ControlReply::Kind::event) return reply;
            if (!on_event(reply.text)) return std::nullopt;
        }
        if (reader_left_) return std::nullopt;
        return ControlReply{ControlReply::Kind::garbage, "the connection to the master has ended"};
    }

    // What came along with what has been read.
    std::vector<UniqueFd> take_received() noexcept { return std::exchange(received_, {}); }

    UniqueFd take_process() noexcept { return std::move(pidfd_); }

    void read_to_end() {
        while (read_line()) {
        }
    }

    // False when the process still runs after `timeout_ms` (-1: waits without end). Where it cannot be
    // watched the end of the connection is the sign.
    bool wait_for_exit(int timeout_ms) const noexcept {
        if (!pidfd_) return true;
        pollfd watched{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
        int count = 0;
        do {
            count = ::poll(&watched, 1, timeout_ms);
        } while (count < 0 && errno == EINTR);
        return count > 0;
    }

  private:
    MasterConnection(const std::string& path, std::optional<TimeLimit> limit, const SilenceNotice& silence)
        : limit_(limit), silence_(silence), socket_(connect_to(path, limit, silence_)) {
        ucred peer{};
        socklen_t size = sizeof peer;
        // 0 when the master lives in a pid namespace that we cannot see.
        if (::getsockopt(socket_.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.pid <= 0) return;
        pid_ = peer.pid;
        // By number: glibc 2.36 declares pidfd_open without C linkage.
        pidfd_ = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
    }

    // False when `reader_fd` has lost its reader.
    bool wait_for_input(int reader_fd) {
        std::array<pollfd, 2> watched{pollfd{.fd = socket_.get(), .events = POLLIN, .revents = 0},
                                      pollfd{.fd = reader_fd, .events = 0, .revents = 0}};
        int count = 0;
        while ((count = ::poll(watched.data(), watched.size(), silence_.left_ms())) <= 0) {
            if (count == 0) silence_.tell();
        }
        reader_left_ = watched[1].revents != 0;
        return !reader_left_;
    }

    void wait_for_bytes() {
        pollfd readable{.fd = socket_.get(), .events = POLLIN, .revents = 0};
        int count = 0;
        while ((count = ::poll(&readable, 1, limit_ ? limit_->left_ms() : silence_.left_ms())) <= 0) {
            if (count == 0 && limit_) limit_->say_that_it_is_over();
            if (count == 0) silence_.tell();
        }
        silence_.end();
    }

    // False when the connection has ended.
    bool receive() {
        std::array<std::byte, 16 * 1024> buffer;
        wait_for_bytes();
        ReceivedPacket packet = receive_packet(socket_.get(), buffer);
        if (packet.result == PacketReceived::would_block) return true;
        if (packet.result != PacketReceived::received) return false;
        unread_.append(reinterpret_cast<const char*>(buffer.data()), packet.size);
        std::ranges::move(packet.fds, std::back_inserter(received_));
        return true;
    }

    std::optional<TimeLimit> limit_;
    Silence silence_;
    UniqueFd socket_;
    UniqueFd pidfd_;
    pid_t pid_ = 0;
    std::string unread_;
    std::vector<UniqueFd> received_;
    bool reader_left_ = false;
};

// A caller that looks again and again must not be held up for long by a master that stands still.
constexpr std::chrono::milliseconds rows_limit{500};

std::shared_ptr<MasterConnection> ask_for_rows(const std::string& path, pid_t pid, std::uint64_t after) {
    auto master = std::make_shared<MasterConnection>(path, TimeLimit{.length = rows_limit});
    if (master->pid() != pid) throw std::runtime_error("it is another master by now");
    master->send(control_request_line({.command = "counter_rows", .format = {}, .after = after}));
    return master;
}

// A question that was not answered in time is not asked again: the next look finds its answer, or goes on
// without it at once.
RowSource row_source_of(const std::string& path, pid_t pid) {
    return [path, pid, asked = std::shared_ptr<MasterConnection>()](std::uint64_t after) mutable {
        if (asked == nullptr) asked = ask_for_rows(path, pid, after);
        const ControlReply reply = asked->read_reply({});
        const std::shared_ptr<MasterConnection> answered = std::exchange(asked, nullptr);
        if (reply.kind != ControlReply::Kind::done) throw std::runtime_error(reply.text);
        return parse_row_batch(reply.text, answered->take_received());
    };
}

}  // namespace

ControlAnswer ask_master(const std::string& path, const ControlRequest& request,
                         const ProgressHandler& on_progress, const SilenceNotice& silence) {
    MasterConnection master(path, silence);
    master.send(control_request_line(request));
    ControlReply reply = master.read_reply(on_progress);
    return {reply.kind == ControlReply::Kind::done, std::move(reply.text)};
}

ControlAnswer ask_for_events(const std::string& path, const ControlRequest& request,
                             const EventHandler& on_event, int reader_fd, const SilenceNotice& silence) {
    MasterConnection master(path, silence);
    master.send(control_request_line(request));
    const std::optional<ControlReply> reply = master.read_events(on_event, reader_fd);
    if (!reply) return {true, ""};
    return {reply->kind == ControlReply::Kind::done, reply->text};
}

CounterSource ask_for_counters(const std::string& path, std::chrono::milliseconds limit) {
    MasterConnection master(path, TimeLimit{.length = limit});
    master.send(control_request_line({.command = "counters", .format = {}}));
    const ControlReply reply = master.read_reply({});
    if (reply.kind != ControlReply::Kind::done) throw std::runtime_error(reply.text);
    std::vector<UniqueFd> received = master.take_received();
    if (received.size() != 1) throw std::runtime_error("the master sent no counter table along");
    return {std::move(received.front()), row_source_of(path, master.pid()), master.take_process()};
}

ControlAnswer stop_master(const std::string& path, const ControlRequest& request,
                          const ProgressHandler& on_progress, const SilenceNotice& silence) {
    MasterConnection master(path, silence);
    master.send(control_request_line(request));
    const ControlReply reply = master.read_reply(on_progress);
    const bool promised = reply.kind == ControlReply::Kind::done;
    const bool ended = reply.kind == ControlReply::Kind::progress;
    if (!promised && !ended) return {false, reply.text};
    master.read_to_end();
    if (!master.wait_for_exit(promised ? -1 : static_cast<int>(exit_grace.count()))) {
        return {false, fmt::format("the master (pid {}) closed the connection but still runs", master.pid())};
    }
    return {true, promised && !reply.text.empty() ? reply.text : "stopped"};
}

}  // namespace drover
