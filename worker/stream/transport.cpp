#include "worker/stream/transport.h"

#include "core/base/system_error.h"
#include "worker/stream/bounded_sendfile.h"
#include "worker/stream/file_range.h"

#include <cerrno>

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

namespace drover {

namespace {

Transport::Taken taken(ssize_t result) noexcept {
    if (result >= 0) return static_cast<std::size_t>(result);
    return try_again(errno) ? Transport::Taken(0) : std::nullopt;
}

}  // namespace

Transport::Received Transport::receive(std::span<char> into) noexcept {
    using What = Received::What;
    const ssize_t size = ::recv(fd(), into.data(), into.size(), MSG_DONTWAIT);
    if (size > 0) {
        const auto bytes = static_cast<std::size_t>(size);
        return {.what = What::bytes, .size = bytes, .all = bytes < into.size()};
    }
    if (size == 0) return {.what = What::end};
    return {.what = try_again(errno) ? What::nothing_yet : What::broken};
}

Transport::Unread Transport::unread() const noexcept {
    char unread = 0;
    const ssize_t size = ::recv(fd(), &unread, 1, MSG_PEEK | MSG_DONTWAIT);
    if (size > 0) return Unread::some;
    return size < 0 && errno == EAGAIN ? Unread::none : Unread::ended;
}

Transport::Taken Transport::send(std::string_view bytes) noexcept {
    return taken(::send(fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
}

Transport::Taken Transport::send(std::span<const iovec> parts, bool file_follows) noexcept {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(parts.data());
    message.msg_iovlen = parts.size();
    return taken(::sendmsg(fd(), &message, MSG_NOSIGNAL | MSG_DONTWAIT | (file_follows ? MSG_MORE : 0)));
}

Transport::Taken Transport::send_file(const FileRange& range, std::size_t size,
                                      BoundedSendfile* bounded) noexcept {
    auto offset = static_cast<off_t>(range.offset);
    const ssize_t sent = bounded != nullptr ? bounded->send(fd(), range.file->get(), offset, size)
                                            : ::sendfile(fd(), range.file->get(), &offset, size);
    return sent == 0 ? std::nullopt : taken(sent);
}

std::uint64_t Transport::unacknowledged_bytes() const noexcept {
    int bytes = 0;
    return ::ioctl(fd(), SIOCOUTQ, &bytes) == 0 && bytes > 0 ? static_cast<std::uint64_t>(bytes) : 0;
}

void Transport::end_output() noexcept {
    ::shutdown(fd(), SHUT_WR);
}

void Transport::forbid_linger() noexcept {
    const linger none{};
    ::setsockopt(fd(), SOL_SOCKET, SO_LINGER, &none, sizeof none);
}

}  // namespace drover
