#include "core/net/listener.h"

#include "core/base/system_error.h"
#include "core/net/port_owners.h"
#include "core/net/port_siblings.h"

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <tuple>
#include <utility>

#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>

namespace drover {

namespace {

void set_option(int fd, int level, int option, int value, const char* name) {
    check_call(::setsockopt(fd, level, option, &value, sizeof value), "setsockopt", name);
}

// A value of 0 stands for the system's own, which a fresh socket knows and setsockopt(2) does not take.
void set_keepalive_value(int fd, int fresh_socket, int option, int value, const char* name) {
    if (value == 0) {
        socklen_t size = sizeof value;
        check_call(::getsockopt(fresh_socket, IPPROTO_TCP, option, &value, &size), "getsockopt", name);
    }
    set_option(fd, IPPROTO_TCP, option, value, name);
}

int receive_buffer_of(int fd) {
    int bytes = 0;
    socklen_t size = sizeof bytes;
    check_call(::getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, &size), "getsockopt", "SO_RCVBUF");
    return bytes;
}

// The kernel doubles what is set and tells that (socket(7)). Beyond net.core.rmem_max only the privileged
// get.
void set_receive_buffer(int fd, int fresh_socket, int bytes) {
    if (bytes == 0) {
        bytes = receive_buffer_of(fresh_socket) / 2;
        if (receive_buffer_of(fd) / 2 == bytes) return;
    }
    if (::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) == 0) return;
    set_option(fd, SOL_SOCKET, SO_RCVBUF, bytes, "SO_RCVBUF");
}

// A socket on every address tells which one a datagram came to, so that the answer can leave from there.
void ask_for_destinations(int fd, const Address& address) {
    if (!address.is_wildcard()) return;
    // Of an IPv4 broadcast IPV6_PKTINFO tells but the broadcast's address: a socket for both asks for both.
    set_option(fd, IPPROTO_IP, IP_PKTINFO, 1, "IP_PKTINFO");
    if (address.family() == AF_INET6) set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1, "IPV6_RECVPKTINFO");
}

// Gives the first socket, bound without SO_REUSEPORT, a reuseport group of its own: a program attached and
// detached again leaves one behind. Two things hang on it. A socket that has a group when it begins to listen
// is refused while another listens on the address; without, two groups of one user that were both bound
// before either listened grow into one. And a steering program can be attached while the socket is alone.
void make_reuseport_group(int fd) {
    sock_filter any_socket = {BPF_RET | BPF_K, 0, 0, 0};
    const sock_fprog program = {1, &any_socket};
    check_call(::setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program), "setsockopt",
               "SO_ATTACH_REUSEPORT_CBPF");
    set_option(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, 0, "SO_DETACH_REUSEPORT_BPF");
}

// True when nobody listens on the unix socket at `address` any more. Throws when that cannot be known.
bool is_stale(const Address& address) {
    const UniqueFd probe(check_call(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
                                    "socket", address.text()));
    if (::connect(probe.get(), address.data(), address.size()) == 0) return false;
    if (errno == ECONNREFUSED || errno == ENOENT) return true;
    // A full queue, or a socket of another type: somebody is there.
    if (errno == EAGAIN || errno == EPROTOTYPE) return false;
    throw_errno("connect", address.text());
}

// Leaves the path of `address` free for bind(2), or throws.
void clear_path(const Address& address) {
    const std::string path = address.unix_path();
    struct stat before;
    if (::lstat(path.c_str(), &before) != 0) {
        if (errno == ENOENT) return;
        throw_errno("bind", address.text());
    }
    if (!S_ISSOCK(before.st_mode)) throw_error(EEXIST, "bind", address.text() + ": not a socket");
    if (!is_stale(address)) throw_error(EADDRINUSE, "bind", address.text());
    struct stat after;
    if (::lstat(path.c_str(), &after) != 0) return;
    const bool same = after.st_ino == before.st_ino && after.st_dev == before.st_dev;
    if (!same) throw_error(EADDRINUSE, "bind", address.text());
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) throw_errno("unlink", address.text());
}

}  // namespace

bool may_be_absent(Optional optional, const std::error_code& reason) noexcept {
    const bool no_address =
        reason == std::errc::address_family_not_supported || reason == std::errc::address_not_available;
    return optional == Optional::yes || (optional == Optional::without_address && no_address);
}

Listener::Listener(const Address& address, const ListenerOptions& options)
    : asked_for_(address), address_(address), options_(options) {}

Listener::Listener(Listener&& other) noexcept
    : asked_for_(other.asked_for_),
      address_(other.address_),
      options_(other.options_),
      sockets_(std::exchange(other.sockets_, {})),
      listening_(std::exchange(other.listening_, 0)),
      order_(std::exchange(other.order_, {})),
      times_rebound_(other.times_rebound_),
      state_(other.state_),
      absence_(std::exchange(other.absence_, {})),
      renewed_(other.renewed_),
      has_siblings_(other.has_siblings_),
      path_(std::exchange(other.path_, {})) {}

Listener& Listener::operator=(Listener&& other) noexcept {
    if (this == &other) return *this;
    remove_path();
    asked_for_ = other.asked_for_;
    address_ = other.address_;
    options_ = other.options_;
    sockets_ = std::exchange(other.sockets_, {});
    listening_ = std::exchange(other.listening_, 0);
    order_ = std::exchange(other.order_, {});
    times_rebound_ = other.times_rebound_;
    state_ = other.state_;
    absence_ = std::exchange(other.absence_, {});
    renewed_ = other.renewed_;
    has_siblings_ = other.has_siblings_;
    path_ = std::exchange(other.path_, {});
    return *this;
}

Listener::~Listener() {
    remove_path();
}

Listener Listener::bind(const Address& address, const ListenerOptions& options, unsigned slots,
                        Siblings siblings) {
    Listener result(address, options);
    if (address.is_unix_path()) {
        UniqueFd socket = result.new_socket();
        result.bind_path(socket.get());
        result.sockets_.emplace_back(std::move(socket));
        return result;
    }
    result.sockets_.emplace_back(result.bind_first(siblings));
    const Address bound = Address::local_of(result.sockets_.front().get());
    result.address_ = address.takes_datagrams() ? bound.as_datagrams() : bound;
    result.resize(slots);
    return result;
}

// One that did not listen would be ready all the time; what listens at an interface that does not exist
// cannot be reached. A udp socket without a port is silent anyway.
Listener Listener::stand_in(const Address& address, const ListenerOptions& options, std::string reason) {
    Listener result(address, options);
    result.state_ = State::absent;
    result.absence_ = std::move(reason);
    const int type = (address.takes_datagrams() ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
    UniqueFd socket(check_call(::socket(AF_INET, type, 0), "socket", address.text()));
    if (!address.takes_datagrams()) {
        set_option(socket.get(), SOL_SOCKET, SO_BINDTOIFINDEX, no_interface, "SO_BINDTOIFINDEX");
        check_call(::listen(socket.get(), 1), "listen", address.text());
    }
    result.sockets_.emplace_back(std::move(socket));
    return result;
}

UniqueFd Listener::new_socket() const {
    const int type = (address_.takes_datagrams() ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
    UniqueFd fd(check_call(::socket(address_.family(), type, 0), "socket", address_.text()));
    bound_wait(fd.get());
    if (address_.is_unix()) return fd;
    // With it two programs could bind one udp address, and one of them would hear nothing.
    if (!address_.is_udp()) set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");
    if (address_.is_udp()) ask_for_destinations(fd.get(), address_);
    if (address_.family() == AF_INET6) {
        set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, options_.ipv6_only ? 1 : 0, "IPV6_V6ONLY");
    }
    if (options_.freebind) set_option(fd.get(), IPPROTO_IP, IP_FREEBIND, 1, "IP_FREEBIND");
    apply_options(fd.get(), options_);
    return fd;
}

// Any holder of a listening socket can clear O_NONBLOCK: whoever accepts then waits no longer than a jiffy.
void Listener::bound_wait(int fd) {
    constexpr timeval shortest{0, 1};
    check_call(::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &shortest, sizeof shortest), "setsockopt",
               "SO_RCVTIMEO");
}

// Beside siblings the sockets have SO_REUSEPORT from the start, so the kernel reports no conflict with
// another program of the same user that sets it, too. The owners of the port are therefore looked up twice:
// before the bind, and after it. Such a program that binds after the second look is not found; programs of
// other users and sockets without SO_REUSEPORT are excluded by the kernel from the bind on.
UniqueFd Listener::bind_first(Siblings siblings) {
    const PortSiblings on_port(address_, options_.ipv6_only, siblings);
    if (on_port.empty()) return bind_one(true);
    on_port.check_no_other();
    on_port.make_room();
    has_siblings_ = true;
    UniqueFd socket = bind_one(true);
    on_port.check_no_other(socket.get());
    return socket;
}

// The kernel lets sockets of one user share a port when all have SO_REUSEPORT.
void Listener::allow_siblings() {
    if (std::exchange(has_siblings_, true)) return;
    for (Socket& socket : sockets_) {
        const bool undone = socket.as_made.put_back(socket.get()).undone;
        set_option(socket.get(), SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT");
        if (undone) socket.as_made = SocketOptions(socket.get());
    }
}

// Beside siblings it gets its group when it listens: one that has a group already is refused then.
UniqueFd Listener::bind_one(bool first) const {
    UniqueFd fd = new_socket();
    const bool alone = first && !has_siblings_;
    if (has_siblings_ || (!shared() && !first))
        set_option(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT");
    check_call(::bind(fd.get(), address_.data(), address_.size()), "bind", address_.text());
    if (!shared() && alone) {
        set_option(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT");
        make_reuseport_group(fd.get());
    }
    return fd;
}

void Listener::bind_path(int fd) {
    clear_path(address_);
    // The path takes the mode of the socket's own inode less the umask: until its owner is right nobody may
    // connect.
    const bool given_away = options_.unix_owner || options_.unix_group;
    check_call(::fchmod(fd, given_away ? 0 : options_.unix_mode & 07777), "fchmod", address_.text());
    const mode_t umask_before = ::umask(0);
    const int result = ::bind(fd, address_.data(), address_.size());
    const int error = errno;
    ::umask(umask_before);
    if (result != 0) throw_error(error, "bind", address_.text());
    struct stat made;
    check_call(::lstat(address_.unix_path().c_str(), &made), "lstat", address_.text());
    const UnixPath before = std::exchange(path_, {made.st_dev, made.st_ino, ::getpid()});
    if (!given_away) return;
    try {
        set_path_rights(options_);
    } catch (...) {
        remove_path();
        path_ = before;
        throw;
    }
}

// By the file itself: the name may have come to mean another one.
void Listener::set_path_rights(const ListenerOptions& options) const {
    const std::string path = address_.unix_path();
    const UniqueFd file(check_call(::open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC), "open", path));
    struct stat found {};
    check_call(::fstat(file.get(), &found), "fstat", path);
    if (found.st_ino != path_.inode || found.st_dev != path_.device)
        throw_error(ESTALE, "chown", path + ": it is another file");
    const uid_t owner = options.unix_owner.value_or(options_.unix_owner ? ::geteuid() : found.st_uid);
    const gid_t group = options.unix_group.value_or(options_.unix_group ? ::getegid() : found.st_gid);
    const bool other = owner != found.st_uid || group != found.st_gid;
    if (other && ::fchownat(file.get(), "", owner, group, AT_EMPTY_PATH) != 0)
        throw_errno("chown", address_.text() + " to uid " + std::to_string(owner) + " and gid " +
                                 std::to_string(group) +
                                 " (an ordinary user can give it to groups of its own alone)");
    const std::string by_descriptor = "/proc/self/fd/" + std::to_string(file.get());
    if (::chmod(by_descriptor.c_str(), options.unix_mode & 07777) == 0) return;
    const int error = errno;
    const bool stays = other && ::fchownat(file.get(), "", found.st_uid, found.st_gid, AT_EMPTY_PATH) != 0;
    throw_error(error, "chmod", address_.text() + (stays ? ", and its new owner stays" : ""));
}

bool Listener::has_path() const noexcept {
    struct stat now {};
    const auto* name = reinterpret_cast<const sockaddr_un*>(address_.data());
    return ::lstat(name->sun_path, &now) == 0 && now.st_ino == path_.inode && now.st_dev == path_.device;
}

bool Listener::renew() {
    if (!address_.is_unix_path() || turned_away() || has_path()) return false;
    rebind(0);
    renewed_ = listening_ > 0;
    return true;
}

void Listener::remove_path() noexcept {
    const UnixPath made = std::exchange(path_, {});
    if (made.inode == 0 || made.maker != ::getpid()) return;
    // The descriptor still holds the inode, so that its number cannot have come to mean another file.
    const auto* name = reinterpret_cast<const sockaddr_un*>(address_.data());
    struct stat now;
    if (::lstat(name->sun_path, &now) != 0) return;
    if (now.st_ino == made.inode && now.st_dev == made.device) ::unlink(name->sun_path);
}

int Listener::socket_for(unsigned slot) const {
    const unsigned index = shared() ? 0 : slot;
    if (index >= sockets_.size())
        throw std::out_of_range("listener " + address_.text() + " has no such socket");
    return sockets_[index].get();
}

void Listener::resize(unsigned slots) {
    if (shared()) return;
    const std::size_t wanted = std::max(slots, 1U);
    const std::size_t before = sockets_.size();
    try {
        while (sockets_.size() < wanted)
            sockets_.emplace_back(bind_one(false));
    } catch (...) {
        sockets_.erase(sockets_.begin() + static_cast<std::ptrdiff_t>(before), sockets_.end());
        throw;
    }
    // The highest goes first: the kernel moves the last socket of a group into the index that becomes free.
    while (sockets_.size() > wanted) {
        left_group(sockets() - 1);
        sockets_.pop_back();
    }
    listening_ = std::min(listening_, sockets());
}

// What the kernel does when a socket of a group stops to listen.
void Listener::left_group(unsigned slot) {
    const auto place = std::ranges::find(order_, slot);
    if (place == order_.end()) return;
    *place = order_.back();
    order_.pop_back();
}

void Listener::apply_options(int fd, const ListenerOptions& options) const {
    if (address_.is_unix()) return;
    if (!address_.is_udp()) return apply_stream_options(fd, options);
    const UniqueFd fresh(check_call(::socket(address_.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket"));
    set_receive_buffer(fd, fresh.get(), options.receive_buffer);
}

void Listener::apply_stream_options(int fd, const ListenerOptions& options) const {
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, options.nodelay ? 1 : 0, "TCP_NODELAY");
    set_option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, options.defer_accept_s, "TCP_DEFER_ACCEPT");
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, options.keepalive ? 1 : 0, "SO_KEEPALIVE");
    const UniqueFd fresh(check_call(::socket(address_.family(), SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
    set_keepalive_value(fd, fresh.get(), TCP_KEEPIDLE, options.keepalive_idle_s, "TCP_KEEPIDLE");
    set_keepalive_value(fd, fresh.get(), TCP_KEEPINTVL, options.keepalive_interval_s, "TCP_KEEPINTVL");
    set_keepalive_value(fd, fresh.get(), TCP_KEEPCNT, options.keepalive_count, "TCP_KEEPCNT");
}

void Listener::apply_live_options(const ListenerOptions& options) {
    for (unsigned i = 0; i < sockets(); ++i) {
        const int fd = sockets_[i].get();
        const bool undone = sockets_[i].as_made.put_back(fd).undone;
        apply_options(fd, options);
        if (undone) sockets_[i].as_made = SocketOptions(fd);  // else the next look binds it again
        // On a socket that listens already listen(2) changes the backlog alone.
        if (i < listening_) begin_listening(fd, options);
    }
}

void Listener::begin_listening(int fd, const ListenerOptions& options) const {
    if (!address_.takes_datagrams()) check_call(::listen(fd, options.backlog), "listen", address_.text());
}

void Listener::set_options(const ListenerOptions& options) {
    ListenerOptions wanted = options;
    wanted.balance = options_.balance;
    wanted.ipv6_only = options_.ipv6_only;
    if (absent()) {
        options_ = wanted;
        return;
    }
    const auto rights = [](const ListenerOptions& of) {
        return std::tuple(of.unix_mode, of.unix_owner, of.unix_group);
    };
    const bool other_rights = address_.is_unix_path() && rights(wanted) != rights(options_);
    try {
        apply_live_options(wanted);
        if (other_rights) set_path_rights(wanted);
    } catch (const std::system_error&) {
        apply_live_options(options_);
        throw;
    }
    options_ = wanted;
}

void Listener::listen(unsigned slots) {
    for (; listening_ < std::min(slots, sockets()); ++listening_) {
        begin_listening(sockets_[listening_].get(), options_);
        order_.push_back(listening_);
    }
}

}  // namespace drover
