#include "worker/datagram/datagram_socket.h"

#include "core/base/system_error.h"

#include <array>
#include <cerrno>
#include <cstring>

#include <sys/socket.h>

namespace drover {

namespace {

// How soon one that finishes looks again whether its replies have left.
constexpr std::chrono::milliseconds full_socket_time{10};

constexpr in6_addr mapped_prefix = {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}}};

// The length fields of the headers have 16 bits; IPv4's counts itself (ip(7), udp(7)).
std::size_t longest_reply(const DatagramPath& path) noexcept {
    if (path.family() == AF_UNIX) return DatagramOutput::max_bytes;
    const bool ipv6 = path.family() == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&path.peer.inet.sin6_addr);
    return ipv6 ? 65'527 : 65'507;
}

}  // namespace

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
            message.msg_namelen = sizeof peers_[i];
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
        path.peer_size = messages_[index].msg_hdr.msg_namelen;
        if (path.peer_size == 0) {  // a unix socket without a name (unix(7))
            path.peer.inet.sin6_family = AF_UNIX;
            path.peer_size = sizeof(sa_family_t);
            return path;
        }
        std::memcpy(&path.peer, &peers_[index], path.peer_size);
        auto& message = const_cast<msghdr&>(messages_[index].msg_hdr);
        for (cmsghdr* control = CMSG_FIRSTHDR(&message); control != nullptr;
             control = CMSG_NXTHDR(&message, control))
            read_destination(*control, path);
        return path;
    }

  private:
    // Of a broadcast or multicast ip(7) tells the address to answer from; ipv6(7) tells the group, which
    // nobody can send from. A socket for both tells of IPv4 in both ways, ip(7)'s last.
    static void read_destination(const cmsghdr& control, DatagramPath& path) noexcept {
        const unsigned char* const data = CMSG_DATA(&control);
        if (control.cmsg_level == IPPROTO_IP && control.cmsg_type == IP_PKTINFO) {
            in_pktinfo info;
            std::memcpy(&info, data, sizeof info);
            const bool mapped = path.family() == AF_INET6;
            if (mapped) path.local = mapped_prefix;
            std::memcpy(&path.local.s6_addr[mapped ? 12 : 0], &info.ipi_spec_dst, sizeof info.ipi_spec_dst);
        }
        if (control.cmsg_level == IPPROTO_IPV6 && control.cmsg_type == IPV6_PKTINFO) {
            in6_pktinfo info;
            std::memcpy(&info, data, sizeof info);
            if (!IN6_IS_ADDR_MULTICAST(&info.ipi6_addr)) path.local = info.ipi6_addr;
            if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr)) path.interface = info.ipi6_ifindex;
        }
    }

    struct Control {
        alignas(cmsghdr) std::byte bytes[CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(in_pktinfo))];
    };
    std::array<mmsghdr, batch> messages_;
    std::array<iovec, batch> parts_;
    std::array<DatagramPath::Peer, batch> peers_;
    std::array<Control, batch> controls_;
};

DatagramSocket::DatagramSocket(EventLoop& loop, UniqueFd socket, DatagramBuffer& buffer, Handler handler)
    : loop_(loop),
      socket_(std::move(socket)),
      address_(Address::local_of(socket_.get()).as_datagrams()),
      buffer_(buffer),
      handler_(handler),
      turn_(loop, Timer::Handler::to<&DatagramSocket::on_turn>(this)) {}

void DatagramSocket::start() {
    if (!socket_) return;
    reading_ = true;
    watch();
}

void DatagramSocket::stop() noexcept {
    reading_ = false;
    turn_.stop();
    if (!output_waits_) watch_.stop();
}

void DatagramSocket::finish() {
    if (!reading_) return;
    stop();
    if (!anything_waits()) return;
    finish_left_ = finish_limit / batch;
    finish_end_ms_ = loop_.now_ms() + finish_time.count();
    turn_.start_once(std::chrono::milliseconds(0));
}

void DatagramSocket::on_turn() {
    const bool full = output_waits_;
    if (!full) {
        receive();
        --finish_left_;
    }
    if (finish_left_ == 0 || loop_.now_ms() >= finish_end_ms_ || !anything_waits()) return;
    turn_.start_once(full ? full_socket_time : std::chrono::milliseconds(0));
}

// An empty datagram does, too: FIONREAD would not tell.
bool DatagramSocket::anything_waits() const noexcept {
    return ::recv(socket_.get(), nullptr, 0, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN;
}

void DatagramSocket::close() noexcept {
    reading_ = false;
    turn_.stop();
    watch_.stop();
    socket_.reset();
    settings_.counters.replies_dropped.add(output_.size());
    output_.clear();
    settings_.counters = {};  // the generation's cells may become another's
    settings_.configuration.reset();
}

std::size_t DatagramSocket::return_addresses() const noexcept {
    const long users = weak_from_this().use_count();
    return socket_ && users > 1 ? static_cast<std::size_t>(users - 1) : 0;
}

bool DatagramSocket::owes_replies() const noexcept {
    return socket_ && (!output_.empty() || return_addresses() > 0);
}

void DatagramSocket::watch() {
    const Interest interest = output_waits_ ? Interest::write : reading_ ? Interest::read : Interest::none;
    if (interest == Interest::none) return watch_.stop();
    if (watch_.started()) return watch_.want(interest);
    watch_.start(loop_, socket_.get(), interest, FdWatch::Handler::to<&DatagramSocket::on_ready>(this));
}

void DatagramSocket::on_ready(Readiness) {
    if (output_waits_) {
        send();
        return;
    }
    if (reading_) receive();
}

// Other workers may have taken the datagrams first. An error that the kernel reports of an earlier reply (an
// ICMP message, udp(7)) stops nothing.
void DatagramSocket::receive() {
    Batch messages(buffer_.get(batch * settings_.max_datagram), settings_.max_datagram);
    const int result = messages.receive(socket_.get());
    if (result < 0) {
        const bool unusable = errno == EBADF || errno == ENOTSOCK || errno == EINVAL || errno == EFAULT;
        if (unusable) throw_errno("recvmmsg", address_.text());
        return;
    }
    const auto count = static_cast<unsigned>(result);
    gathering_ = true;
    for (unsigned i = 0; i < count; ++i)
        deliver(messages, i);
    gathering_ = false;
    if (!output_.empty()) send();
}

void DatagramSocket::deliver(const Batch& messages, unsigned index) {
    DatagramCounters& counters = settings_.counters;
    if (messages.truncated(index)) return counters.truncated.add();
    const std::string_view payload = messages.payload(index);
    counters.received.add();
    counters.received_bytes.add(payload.size());
    const DatagramPath path = messages.path(index);
    if (!handler_(settings_.module, Datagram(*this, path, payload))) counters.failed.add();
}

bool DatagramSocket::reply(const DatagramPath& path, std::string_view bytes) {
    if (!socket_) return false;
    const bool fits = bytes.size() <= longest_reply(path);
    bool kept = fits && output_.add(path, bytes);
    if (fits && !kept && !output_waits_) {
        send();
        kept = output_.add(path, bytes);
    }
    if (!kept) settings_.counters.replies_dropped.add();
    if (!kept || gathering_ || output_waits_) return kept;
    return send() == 0;  // it was the only one
}

std::uint64_t DatagramSocket::send() {
    const DatagramOutput::Result result = output_.send(socket_.get());
    settings_.counters.sent.add(result.sent);
    settings_.counters.sent_bytes.add(result.sent_bytes);
    settings_.counters.replies_dropped.add(result.refused);
    output_waits_ = result.waits;
    watch();
    return result.refused;
}

static_assert(sizeof(ReturnAddress) == 152);

bool ReturnAddress::reply(std::string_view bytes) const {
    return socket_ != nullptr && socket_->reply(path_, bytes);
}

Address ReturnAddress::peer_address() const noexcept {
    const auto* const peer = reinterpret_cast<const sockaddr*>(&path_.peer);
    return Address::from_sockaddr(peer, path_.peer_size).as_datagrams().unmapped();
}

unsigned Datagram::listener() const noexcept {
    return socket_.listener();
}

Address Datagram::peer_address() const noexcept {
    return ReturnAddress(nullptr, path_).peer_address();
}

Address Datagram::local_address() const noexcept {
    if (IN6_IS_ADDR_UNSPECIFIED(&path_.local)) return socket_.address();
    DatagramPath place = path_;
    if (place.family() == AF_INET) {
        auto& name = reinterpret_cast<sockaddr_in&>(place.peer);
        name.sin_port = htons(socket_.address().port());
        std::memcpy(&name.sin_addr, &path_.local, sizeof name.sin_addr);
    } else {
        place.peer.inet.sin6_port = htons(socket_.address().port());
        place.peer.inet.sin6_addr = path_.local;
        place.peer.inet.sin6_scope_id = path_.interface;
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
