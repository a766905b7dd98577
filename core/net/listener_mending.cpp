// What any holder of a listening socket can do to it, found and undone: flags, options and state belong to
// the open file description, which master and workers share.
#include "core/base/system_error.h"
#include "core/net/listener.h"

#include <algorithm>
#include <cerrno>
#include <exception>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

namespace drover {

namespace {

int socket_option(int fd, int option) noexcept {
    int value = 0;
    socklen_t size = sizeof value;
    return ::getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 ? value : 0;
}

// Asked with no room for it, the kernel tells its length; of a program that is no classic one it says EACCES.
bool has_filter(int fd) noexcept {
    socklen_t length = 0;
    if (::getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, nullptr, &length) == 0) return length > 0;
    return errno == EACCES;
}

bool has_peer(int fd) noexcept {
    sockaddr_storage peer;
    socklen_t size = sizeof peer;
    return ::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0;
}

void drop_peer(int fd) noexcept {
    const sockaddr none{.sa_family = AF_UNSPEC, .sa_data = {}};
    static_cast<void>(::connect(fd, &none, sizeof none));
}

bool is_shut_down(int fd) noexcept {
    pollfd entry{.fd = fd, .events = POLLRDHUP, .revents = 0};
    return ::poll(&entry, 1, 0) == 1 && (entry.revents & POLLRDHUP) != 0;
}

void note(std::string& what, const std::string& text) {
    what += (what.empty() ? "" : ", ") + text;
}

}  // namespace

std::vector<ListenerDamage> Listener::mend(Look look) {
    std::vector<ListenerDamage> found;
    std::vector<ListenerDamage> broken;
    if (absent()) return found;
    for (unsigned slot = 0; slot < listening_; ++slot) {
        std::string disturbed = disturbance(slot);
        std::string broke = breakage(slot);
        if (look == Look::options_too) look_at_options(slot, disturbed, broke);
        if (!disturbed.empty()) found.push_back({slot, std::move(disturbed)});
        if (!broke.empty()) broken.push_back({slot, std::move(broke)});
    }
    // Those that have left the group come first: the others leave it as they are bound again, in that order.
    const auto others = std::stable_partition(
        broken.begin(), broken.end(), [this](const ListenerDamage& damage) { return !listens(damage.slot); });
    // The order in which several have left is not known: it is made again, as at first.
    if (others - broken.begin() > 1 && !shared()) leave_group(broken);
    for (ListenerDamage& damage : broken) {
        try {
            damage.now = restore(damage.slot);
        } catch (const std::exception& failure) {
            damage.now = ListenerDamage::Now::lasting;
            damage.what += std::string(" (") + failure.what() + ")";
        }
        if (!damage.what.empty()) found.push_back(std::move(damage));
    }
    return found;
}

// What can be undone in place, and is.
std::string Listener::disturbance(unsigned slot) const {
    const int fd = sockets_[slot].get();
    std::string what;
    if ((::fcntl(fd, F_GETFL) & O_NONBLOCK) == 0) note(what, "was made blocking");
    ::fcntl(fd, F_SETFL, O_NONBLOCK);
    bound_wait(fd);
    const int unused = 0;
    const bool filtered = state_ != State::refuses_new && has_filter(fd);
    if (filtered && ::setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused) == 0)
        note(what, "had a filter");
    if (address_.takes_datagrams() && has_peer(fd)) {
        drop_peer(fd);
        bind_again(fd);
        note(what, "was connected");
    }
    if (!address_.takes_datagrams() && socket_option(fd, SO_ACCEPTCONN) != 0) ::listen(fd, options_.backlog);
    return what;
}

std::string Listener::breakage(unsigned slot) const {
    const int fd = sockets_[slot].get();
    if (state_ != State::refuses_new && socket_option(fd, SO_LOCK_FILTER) != 0)
        return "had its filter locked";
    const bool tcp = !address_.is_unix() && !address_.is_udp();
    if (tcp ? socket_option(fd, SO_ACCEPTCONN) == 0 : is_shut_down(fd)) return "was shut down";
    return {};
}

bool Listener::listens(unsigned slot) const noexcept {
    return socket_option(sockets_[slot].get(), SO_ACCEPTCONN) != 0;
}

void Listener::look_at_options(unsigned slot, std::string& mended, std::string& broken) const {
    const SocketOptions::Changes changes = sockets_[slot].as_made.put_back(sockets_[slot].get());
    if (!changes.found.empty()) note(changes.undone ? mended : broken, "had other options: " + changes.found);
}

// All others stop to listen, too.
void Listener::leave_group(std::vector<ListenerDamage>& broken) {
    std::vector<ListenerDamage> all;
    for (unsigned slot = 0; slot < listening_; ++slot) {
        all.push_back({slot, {}});
        for (ListenerDamage& damage : broken)
            if (damage.slot == slot) all.back().what = std::move(damage.what);
        ::shutdown(sockets_[slot].get(), SHUT_RD);
    }
    order_.clear();
    broken = std::move(all);
}

// One that listens was not shut down, and what else is wrong with it cannot be undone.
ListenerDamage::Now Listener::restore(unsigned slot) {
    const bool has_left = !listens(slot);
    left_group(slot);
    const bool in_place = has_left && restore_in_place(sockets_[slot]);
    if (!in_place) rebind(slot);
    order_.push_back(slot);
    return in_place ? ListenerDamage::Now::mended : ListenerDamage::Now::rebound;
}

bool Listener::restore_in_place(const Socket& socket) const {
    const int fd = socket.get();
    const bool tcp = !address_.is_unix() && !address_.is_udp();
    if (!tcp || socket_option(fd, SO_LOCK_FILTER) != 0 || !socket.as_made.put_back(fd).undone) return false;
    bind_again(fd);
    begin_listening(fd, options_);
    return Address::local_of(fd) == address_;
}

// A port that the kernel chose is lost with a shutdown or a disconnect; any other is still bound, and this
// changes nothing.
void Listener::bind_again(int fd) const noexcept {
    static_cast<void>(::bind(fd, address_.data(), address_.size()));
}

void Listener::rebind(unsigned slot) {
    Socket& socket = sockets_[slot];
    if (!address_.is_unix() && !address_.is_udp()) ::shutdown(socket.get(), SHUT_RDWR);
    UniqueFd fresh;
    if (address_.is_unix_path()) {
        fresh = new_socket();
        bind_path(fresh.get());
    } else {
        fresh = bind_one(sockets_.size() == 1);
    }
    if (slot < listening_) begin_listening(fresh.get(), options_);
    socket = Socket(std::move(fresh));
    ++times_rebound_;
}

}  // namespace drover
