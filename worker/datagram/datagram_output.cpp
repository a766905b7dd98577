#include "worker/datagram/datagram_output.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>

#include <sys/socket.h>

namespace drover {

namespace {

constexpr std::size_t batch_size = 32;

template <class Info>
void put_source(msghdr& message, int level, int type, const Info& info) noexcept {
    message.msg_controllen = CMSG_SPACE(sizeof(Info));
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = level;
    header->cmsg_type = type;
    header->cmsg_len = CMSG_LEN(sizeof(Info));
    std::memcpy(CMSG_DATA(header), &info, sizeof(Info));
}

// ip(7), ipv6(7): IP_PKTINFO and IPV6_PKTINFO of a message that is sent say where it leaves from. A
// link-local address says nothing without its interface.
void set_source(msghdr& message, const DatagramPath& path) noexcept {
    if (path.family() == AF_INET) {
        in_pktinfo info{};
        std::memcpy(&info.ipi_spec_dst, &path.local, sizeof info.ipi_spec_dst);
        return put_source(message, IPPROTO_IP, IP_PKTINFO, info);
    }
    in6_pktinfo info{};
    info.ipi6_addr = path.local;
    info.ipi6_ifindex = path.interface;
    put_source(message, IPPROTO_IPV6, IPV6_PKTINFO, info);
}

}  // namespace

// The headers of one sendmmsg(2).
class DatagramOutput::Batch {
  public:
    Batch(std::span<const Reply> replies, std::byte* bytes) noexcept : count_(replies.size()) {
        for (std::size_t i = 0; i < count_; ++i)
            set(i, replies[i], bytes);
    }

    int send(int socket) noexcept {
        return ::sendmmsg(socket, messages_.data(), static_cast<unsigned>(count_),
                          MSG_DONTWAIT | MSG_NOSIGNAL);
    }

  private:
    void set(std::size_t index, const Reply& reply, std::byte* bytes) noexcept {
        msghdr& message = messages_[index].msg_hdr;
        parts_[index] = {bytes + reply.offset, reply.size};
        message = {};
        message.msg_name = const_cast<DatagramPath::Peer*>(&reply.path.peer);
        message.msg_namelen = reply.path.peer_size;
        message.msg_iov = &parts_[index];
        message.msg_iovlen = 1;
        if (IN6_IS_ADDR_UNSPECIFIED(&reply.path.local)) return;
        message.msg_control = controls_[index].bytes;
        set_source(message, reply.path);
    }

    struct Control {
        alignas(cmsghdr) std::byte bytes[CMSG_SPACE(sizeof(in6_pktinfo))];
    };
    std::size_t count_;
    std::array<mmsghdr, batch_size> messages_;
    std::array<iovec, batch_size> parts_;
    std::array<Control, batch_size> controls_;
};

bool DatagramOutput::add(const DatagramPath& path, std::string_view bytes) {
    if (bytes_ == nullptr) {
        bytes_ = std::make_unique_for_overwrite<std::byte[]>(max_bytes);
        replies_.reserve(max_replies);
    }
    if (!has_room(bytes.size())) move_down();
    if (!has_room(bytes.size())) return false;
    if (!bytes.empty()) std::memcpy(bytes_.get() + used_, bytes.data(), bytes.size());
    replies_.push_back({path, static_cast<std::uint32_t>(used_), static_cast<std::uint32_t>(bytes.size())});
    used_ += bytes.size();
    return true;
}

DatagramOutput::Result DatagramOutput::send(int socket) {
    Result result;
    while (first_ < replies_.size()) {
        const std::size_t count = std::min(batch_size, replies_.size() - first_);
        const std::span<const Reply> replies(&replies_[first_], count);
        const int sent = Batch(replies, bytes_.get()).send(socket);
        if (sent < 0 && errno == EINTR) continue;
        // Of a unix socket it is the peer that does not read, and the others' replies do not wait for it.
        if (sent < 0 && errno == EAGAIN && replies.front().path.family() != AF_UNIX) {
            result.waits = true;
            return result;
        }
        if (sent < 0) {
            ++result.refused;
            ++first_;
            continue;
        }
        for (const Reply& reply : replies.first(static_cast<std::size_t>(sent)))
            result.sent_bytes += reply.size;
        result.sent += static_cast<std::uint64_t>(sent);
        first_ += static_cast<std::size_t>(sent);
    }
    clear();
    return result;
}

void DatagramOutput::clear() noexcept {
    replies_.clear();
    first_ = 0;
    used_ = 0;
}

bool DatagramOutput::has_room(std::size_t size) const noexcept {
    return replies_.size() < max_replies && size <= max_bytes - used_;
}

// Into the room of those that have left.
void DatagramOutput::move_down() noexcept {
    if (first_ == 0) return;
    const std::uint32_t gone = replies_[first_].offset;
    used_ -= gone;
    std::memmove(bytes_.get(), bytes_.get() + gone, used_);
    replies_.erase(replies_.begin(), replies_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
    for (Reply& reply : replies_)
        reply.offset -= gone;
}

}  // namespace drover
