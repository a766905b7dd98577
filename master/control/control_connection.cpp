#include "master/control/control_connection.h"

#include "core/base/system_error.h"
#include "core/protocol/message.h"
#include "core/protocol/packet.h"
#include "master/control/control_message.h"

#include <algorithm>
#include <cerrno>
#include <span>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/types.h>

namespace drover {

namespace {

bool is_lack_of_room(int error) noexcept {
    return error == ETOOMANYREFS || error == ENOBUFS || error == ENOMEM;
}

}  // namespace

ControlConnection::ControlConnection(UniqueFd socket, std::size_t max_line,
                                     std::size_t max_unread_output) noexcept
    : socket_(std::move(socket)), max_line_(max_line), max_unread_output_(max_unread_output) {}

Interest ControlConnection::interest() const noexcept {
    const bool reads = phase_ != Phase::leaving && !half_closed_ && input_.size() <= max_line_;
    const bool writes = output_waits() && !short_of_room_;
    if (reads) return writes ? Interest::read_write : Interest::read;
    return writes ? Interest::write : Interest::none;
}

bool ControlConnection::gone() const noexcept {
    pollfd watched{.fd = fd(), .events = 0, .revents = 0};
    return ::poll(&watched, 1, 0) == 1 && (watched.revents & (POLLHUP | POLLERR)) != 0;
}

bool ControlConnection::descriptors_unread() noexcept {
    descriptors_sent_ = descriptors_sent_ && !all_read(fd());
    return descriptors_sent_ || !attached_.empty();
}

bool ControlConnection::receive() {
    char buffer[16 * 1024];
    iovec piece{.iov_base = buffer, .iov_len = sizeof buffer};
    // Without room for control data the kernel closes what was sent along: no descriptor ever gets in.
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    const ssize_t size = ::recvmsg(fd(), &message, MSG_DONTWAIT);
    if (size < 0) return try_again(errno);
    if ((message.msg_flags & MSG_CTRUNC) != 0) {
        leave("descriptors are not taken here");
    } else if (size == 0) {
        half_closed_ = true;
        return !gone();
    } else {
        input_.append(buffer, static_cast<std::size_t>(size));
    }
    return true;
}

// Descriptors go with the first byte of what is sent with them, and here with nothing more: that byte goes
// whole or not at all.
ssize_t ControlConnection::send_some() noexcept {
    const std::string_view unsent = std::string_view(output_).substr(sent_);
    const std::size_t before_fds = attached_.empty() ? unsent.size() : attached_at_ - sent_;
    if (before_fds > 0) return ::send(fd(), unsent.data(), before_fds, MSG_DONTWAIT | MSG_NOSIGNAL);
    int along[max_message_fds];
    std::ranges::transform(attached_, along, &UniqueFd::get);
    const auto first = std::as_bytes(std::span(unsent.substr(0, 1)));
    const PacketSent result = send_packet(fd(), first, {}, std::span(along).first(attached_.size()));
    if (result != PacketSent::sent) return -1;
    attached_.clear();
    descriptors_sent_ = true;
    return 1;
}

bool ControlConnection::flush() noexcept {
    short_of_room_ = false;
    while (sent_ < output_.size()) {
        const ssize_t size = send_some();
        if (size < 0) {
            short_of_room_ = is_lack_of_room(errno);
            return short_of_room_ || try_again(errno);
        }
        sent_ += static_cast<std::size_t>(size);
    }
    output_.clear();
    sent_ = 0;
    return true;
}

std::optional<std::string> ControlConnection::take_line() {
    const std::size_t newline = input_.find('\n');
    const bool complete = newline != input_.npos;
    if ((complete ? newline : input_.size()) > max_line_) {
        leave(fmt::format("a request has at most {} bytes", max_line_));
    } else if (complete) {
        std::string line = input_.substr(0, newline);
        input_.erase(0, newline + 1);
        phase_ = Phase::waiting;
        return line;
    } else if (half_closed_ && !input_.empty()) {
        leave("the request does not end with a newline");
    } else if (half_closed_) {
        phase_ = Phase::leaving;
    }
    return std::nullopt;
}

bool ControlConnection::queue(std::string_view text, std::vector<UniqueFd> fds) {
    if (output_.size() - sent_ + text.size() > max_unread_output_) return false;
    if (!fds.empty() && !attached_.empty()) return false;
    output_.erase(0, sent_);
    if (!attached_.empty()) attached_at_ -= sent_;
    sent_ = 0;
    if (!fds.empty()) {
        attached_ = std::move(fds);
        attached_at_ = output_.size();
    }
    output_.append(text);
    return true;
}

void ControlConnection::leave(std::string_view error) {
    phase_ = Phase::leaving;
    input_.clear();
    queue(control_reply_line(false, error));
}

}  // namespace drover
