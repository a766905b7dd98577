#include "core/unix_queue.h"

#include <array>
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
std::optional<std::uint32_t> queue_in(std::span<const std::byte> answer) noexcept {
    nlmsghdr header{};
    if (!read_at(answer, 0, header) || header.nlmsg_type != SOCK_DIAG_BY_FAMILY) return std::nullopt;
    std::size_t at = NLMSG_LENGTH(sizeof(unix_diag_msg));
    for (rtattr attribute{}; read_at(answer, at, attribute) && attribute.rta_len >= sizeof attribute;
         at += RTA_ALIGN(attribute.rta_len)) {
        unix_diag_rqlen queue{};
        if (attribute.rta_type != UNIX_DIAG_RQLEN) continue;
        if (!read_at(answer, at + sizeof attribute, queue)) return std::nullopt;
        return queue.udiag_rqueue;
    }
    return std::nullopt;
}

}  // namespace

std::optional<std::uint32_t> UnixQueues::length(int listener) noexcept {
    struct stat status {};
    if (::fstat(listener, &status) != 0 || !S_ISSOCK(status.st_mode) || silent_) return std::nullopt;
    const std::optional<std::uint32_t> length = ask(status.st_ino);
    silent_ = !length;
    return length;
}

std::optional<std::uint32_t> UnixQueues::ask(ino_t inode) noexcept {
    if (!kernel_) kernel_.reset(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
    const Question question = question_about(inode);
    if (::send(kernel_.get(), &question, sizeof question, 0) != sizeof question) return std::nullopt;
    // The answer is there when the question has been sent.
    std::array<std::byte, 512> answer;
    const ssize_t size = ::recv(kernel_.get(), answer.data(), answer.size(), MSG_DONTWAIT);
    if (size < 0) return std::nullopt;
    return queue_in(std::span(answer).first(static_cast<std::size_t>(size)));
}

}  // namespace drover
