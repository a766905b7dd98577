#include "core/net/unix_queue.h"

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <span>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <sys/socket.h>
#include <sys/stat.h>

namespace drover {

namespace {

struct Question {
    nlmsghdr header;
    unix_diag_req request;
};

Question question_about(ino_t inode) noexcept {
    Question question{};
    question.header.nlmsg_len = sizeof question;
    question.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    question.header.nlmsg_flags = NLM_F_REQUEST;
    question.request.sdiag_family = AF_UNIX;
    question.request.udiag_states = ~0U;
    question.request.udiag_ino = static_cast<std::uint32_t>(inode);
    question.request.udiag_show = UDIAG_SHOW_RQLEN;
    question.request.udiag_cookie[0] = ~0U;  // whichever socket has the number
    question.request.udiag_cookie[1] = ~0U;
    return question;
}

template <class Value>
bool read_at(std::span<const std::byte> bytes, std::size_t offset, Value& value) noexcept {
    if (bytes.size() < offset || bytes.size() - offset < sizeof value) return false;
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return true;
}

// Of a listening socket udiag_rqueue is the number of connections that wait.
std::optional<std::uint32_t> queue_in(std::span<const std::byte> answer, ino_t inode) noexcept {
    unix_diag_msg socket{};
    if (!read_at(answer, NLMSG_LENGTH(0), socket) || socket.udiag_ino != static_cast<std::uint32_t>(inode))
        return std::nullopt;
    std::size_t at = NLMSG_LENGTH(sizeof socket);
    for (rtattr attribute{}; read_at(answer, at, attribute) && attribute.rta_len >= sizeof attribute;
         at += RTA_ALIGN(attribute.rta_len)) {
        unix_diag_rqlen queue{};
        if (attribute.rta_type != UNIX_DIAG_RQLEN) continue;
        if (!read_at(answer, at + sizeof attribute, queue)) return std::nullopt;
        return queue.udiag_rqueue;
    }
    return std::nullopt;
}

// It has no way to tell of unix sockets; that this one is not there (ENOENT) is another thing.
bool refuses(std::span<const std::byte> answer) noexcept {
    nlmsghdr header{};
    nlmsgerr error{};
    return read_at(answer, 0, header) && header.nlmsg_type == NLMSG_ERROR &&
           read_at(answer, NLMSG_LENGTH(0), error) && error.error != -ENOENT;
}

}  // namespace

std::optional<std::uint32_t> UnixQueues::length(int listener) noexcept {
    struct stat status {};
    if (refused_ || ::fstat(listener, &status) != 0 || !S_ISSOCK(status.st_mode)) return std::nullopt;
    if (!kernel_) kernel_.reset(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
    const Question question = question_about(status.st_ino);
    // The answer is there when the question has been sent.
    std::array<std::byte, 512> buffer;
    const bool asked = ::send(kernel_.get(), &question, sizeof question, 0) == sizeof question;
    const ssize_t size = asked ? ::recv(kernel_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT) : -1;
    if (size < 0) {
        kernel_.reset();  // an answer that comes later is nobody's
        return std::nullopt;
    }
    const auto answer = std::span(buffer).first(static_cast<std::size_t>(size));
    refused_ = refuses(answer);
    return queue_in(answer, status.st_ino);
}

}  // namespace drover
