#include "worker/datagram_socket.h"

#include "core/system_error.h"

#include <array>
#include <cerrno>
#include <cstring>

#include <sys/socket.h>

namespace drover {

std::byte* DatagramBuffer::get(std::size_t size) {
    if (size > size_) {
        bytes_ = std::make_unique_for_overwrite<std::byte[]>(size);
        size_ = size;
    }
    return bytes_.get();
}

// The headers of one recvmmsg(2), and what it has filled in.
class DatagramSocket::Batch {
  public:
    Batch(std::byte* buffer, std::size_t max_datagram) noexcept {
        for (unsigned i = 0; i < batch; ++i) {
            parts_[i] = {buffer + i * max_datagram, max_datagram};
            msghdr& message = messages_[i].msg_hdr;
            message = {};
            message.msg_name = &peers_[i];
            message.msg_namelen = sizeof(sockaddr_in6);
            message.msg_iov = &parts_[i];
            message.msg_iovlen = 1;
            message.msg_control = controls_[i].bytes;
            message.msg_controllen = sizeof controls_[i].bytes;
        }
    }

    int receive(int socket) noexcept {
        return ::recvmmsg(socket, messages_.data(), batch, MSG_DONTWAIT, nullptr);
    }
    bool truncated(unsigned index) const noexcept {
        return (messages_[index].msg_hdr.msg_flags & MSG_TRUNC) != 0;
    }
    std::string_view payload(unsigned index) const noexcept {
        return {static_cast<const char*>(parts_[index].iov_base), messages_[index].msg_len};
    }
    DatagramPath path(unsigned index) const noexcept {
        DatagramPath path;
        std::memcpy(&path.peer, &peers_[index], messages_[index].msg_hdr.msg_namelen);
        auto& message = const_cast<msghdr&>(messages_[index].msg_hdr);
        for (cmsghdr* control = CMSG_FIRSTHDR(&message); control != nullptr;
             control = CMSG_NXTHDR(&message, control))
            read_destination(*control, path.local);
        return path;
    }

  private:
    // Of a broadcast or multicast ip(7) tells the address to answer from; ipv6(7) tells the group, which
    // nobody can send from.
    static void read_destination(const cmsghdr& control, in6_addr& local) noexcept {
        const unsigned char* const data = CMSG_DATA(&control);
        if (control.cmsg_level == IPPROTO_IP && control.cmsg_type == IP_PKTINFO) {
            in_pktinfo info;
            std::memcpy(&info, data, sizeof info);
            std::memcpy(&local, &info.ipi_spec_dst, sizeof info.ipi_spec_dst);
        }
        if (control.cmsg_level == IPPROTO_IPV6 && control.cmsg_type == IPV6_PKTINFO) {
            in6_pktinfo info;
            std::memcpy(&info, data, sizeof info);
            if (!IN6_IS_ADDR_MULTICAST(&info.ipi6_addr)) local = info.ipi6_addr;
        }
    }

    struct Control {
        alignas(cmsghdr) std::byte bytes[CMSG_SPACE(sizeof(in6_pktinfo))];
    };
    std::array<mmsghdr, batch> messages_;
    std::array<iovec, batch> parts_;
    std::array<sockaddr_in6, batch> peers_;
    std::array<Control, batch> controls_;
};

DatagramSocket::DatagramSocket(EventLoop& loop, UniqueFd socket, DatagramBuffer& buffer, Handler handler)
    : loop_(loop),
      socket_(std::move(socket)),
      address_(Address::local_of(socket_.get()).as_udp()),
      buffer_(buffer),
      handler_(handler) {}

void DatagramSocket::start() {
    if (!socket_) return;
    reading_ = true;
    watch();
}

void DatagramSocket::finish() {
    if (!reading_) return;
    for (unsigned read = 0; read < finish_limit && !output_waits_; read += batch) {
        if (receive() < batch) break;
    }
    reading_ = false;
    watch();
}

void DatagramSocket::close() noexcept {
    reading_ = false;
    watch_.stop();
    socket_.reset();
    counters_ = {};  // the generation's cells may become another's
}

bool DatagramSocket::owes_replies() const noexcept {
    return socket_ && (!output_.empty() || weak_from_this().use_count() > 1);
}

void DatagramSocket::watch() {
    const Interest interest = output_waits_ ? Interest::write : reading_ ? Interest::read : Interest::none;
    if (interest == Interest::none) return watch_.stop();
    if (watch_.started()) return watch_.want(interest);
    watch_.start(loop_, socket_.get(), interest, FdWatch::Handler::to<&DatagramSocket::on_ready>(this));
}

void DatagramSocket::on_ready(Readiness) {
    if (output_waits_) return send();
    if (reading_) receive();
}

// What other workers were faster to take is not there any more; what the kernel says of an earlier reply (an
// ICMP message, udp(7)) stops nothing.
unsigned DatagramSocket::receive() {
    Batch messages(buffer_.get(batch * max_datagram_), max_datagram_);
    const int result = messages.receive(socket_.get());
    if (result < 0) {
        const bool unusable = errno == EBADF || errno == ENOTSOCK || errno == EINVAL || errno == EFAULT;
        if (unusable) throw_errno("recvmmsg", address_.text());
        return 0;
    }
    const auto count = static_cast<unsigned>(result);
    gathering_ = true;
    for (unsigned i = 0; i < count; ++i)
        deliver(messages, i);
    gathering_ = false;
    if (!output_.empty()) send();
    return count;
}

void DatagramSocket::deliver(const Batch& messages, unsigned index) {
    if (messages.truncated(index)) return counters_.truncated.add();
    const std::string_view payload = messages.payload(index);
    counters_.received.add();
    counters_.received_bytes.add(payload.size());
    const DatagramPath path = messages.path(index);
    if (!handler_(Datagram(*this, path, payload))) counters_.failed.add();
}

bool DatagramSocket::reply(const DatagramPath& path, std::string_view bytes) {
    bool kept = socket_ && output_.add(path, bytes);
    if (socket_ && !kept && !output_waits_) {
        send();
        kept = output_.add(path, bytes);
    }
    if (!kept) counters_.replies_dropped.add();
    if (kept && !gathering_ && !output_waits_) send();
    return kept;
}

void DatagramSocket::send() {
    const DatagramOutput::Result result = output_.send(socket_.get());
    counters_.sent.add(result.sent);
    counters_.sent_bytes.add(result.sent_bytes);
    counters_.replies_dropped.add(result.refused);
    output_waits_ = result.waits;
    watch();
}

static_assert(sizeof(ReturnAddress) == 64);

bool ReturnAddress::reply(std::string_view bytes) const {
    return socket_ != nullptr && socket_->reply(path_, bytes);
}

Address ReturnAddress::peer_address() const noexcept {
    const socklen_t size = path_.peer.sin6_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    return Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&path_.peer), size).as_udp();
}

unsigned Datagram::listener() const noexcept {
    return socket_.listener();
}

Address Datagram::peer_address() const noexcept {
    return ReturnAddress(nullptr, path_).peer_address();
}

Address Datagram::local_address() const noexcept {
    if (IN6_IS_ADDR_UNSPECIFIED(&path_.local)) return socket_.address();
    DatagramPath place{.peer = path_.peer};
    if (place.peer.sin6_family == AF_INET) {
        auto& name = reinterpret_cast<sockaddr_in&>(place.peer);
        name.sin_port = htons(socket_.address().port());
        std::memcpy(&name.sin_addr, &path_.local, sizeof name.sin_addr);
    } else {
        place.peer.sin6_port = htons(socket_.address().port());
        place.peer.sin6_addr = path_.local;
    }
    return ReturnAddress(nullptr, place).peer_address();
}

bool Datagram::reply(std::string_view bytes) const {
    return socket_.reply(path_, bytes);
}

ReturnAddress Datagram::return_address() const {
    return {socket_.shared_from_this(), path_};
}

}  // namespace drover
