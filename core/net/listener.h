// Listener is one listening address and its sockets: a reuseport group with a socket a slot, or one socket
// that all slots share. Datagrams come to a shared one always: in the queue of a slot that goes nobody could
// answer them. The master owns it for as long as any generation names it; workers get duplicates.
// Sockets are bound by bind_listener and listen only when listen() says so, because the kernel gives a socket
// connections from then on (a datagram socket gets datagrams as soon as it is bound, and they wait). Runs in:
// the master. Source of the traps: socket(7), tcp(7), udp(7), and docs/process-model.md.
#pragma once

#include "core/base/unique_fd.h"
#include "core/net/address.h"
#include "core/net/socket_options.h"

#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <sys/types.h>

namespace drover {

enum class Balance { reuseport, shared };

// When the service goes without a listener.
enum class Optional {
    no,
    without_address,  // the machine has no such address, or no such family
    yes,              // it cannot be had, for whatever reason
};
bool may_be_absent(Optional optional, const std::error_code& reason) noexcept;

// What another holder of a listening socket has done to it: whoever has a duplicate can.
struct ListenerDamage {
    enum class Now { mended, rebound, lasting };

    unsigned slot = 0;
    std::string what;  // "was shut down"
    Now now = Now::mended;
};

struct ListenerOptions {
    Balance balance = Balance::reuseport;  // unix sockets (EOPNOTSUPP) and udp ones are always shared
    int backlog = 4096;                    // capped by net.core.somaxconn
    bool nodelay = true;                   // TCP_NODELAY, inherited by accepted sockets
    int defer_accept_s = 0;                // TCP_DEFER_ACCEPT, seconds; 0: off
    bool keepalive = false;                // SO_KEEPALIVE, inherited by accepted sockets
    int keepalive_idle_s = 0;              // TCP_KEEPIDLE; 0: the system's
    int keepalive_interval_s = 0;          // TCP_KEEPINTVL; 0: the system's
    int keepalive_count = 0;               // TCP_KEEPCNT; 0: the system's
    bool ipv6_only = true;                 // IPV6_V6ONLY
    unsigned unix_mode = 0666;             // permissions of a unix path
    std::optional<uid_t> unix_owner = {};  // of a unix path; none: who makes it
    std::optional<gid_t> unix_group = {};
    bool freebind = false;             // IP_FREEBIND: the machine need not have the address
    Optional optional = Optional::no;  // for the caller of bind(): whether stand_in() will do
    int receive_buffer = 0;            // SO_RCVBUF of a udp socket, bytes as asked for; 0: the system's

    friend bool operator==(const ListenerOptions&, const ListenerOptions&) = default;
};

class Listener {
  public:
    // The other listeners of this service.
    using Siblings = std::span<const std::shared_ptr<Listener>>;

    // Binds `slots` sockets (one when shared). The first is bound without SO_REUSEPORT, so that another
    // process's socket on the address is an error, and gets the option afterwards. Where only siblings are in
    // the way, with other addresses of the port ("127.0.0.1:80" beside "*:80"), it is bound beside them. A
    // stale unix path is replaced; one that answers, or a file that is no socket, is refused. Throws
    // std::system_error: "bind 127.0.0.1:80: ...". 0 slots count as 1.
    static Listener bind(const Address& address, const ListenerOptions& options, unsigned slots,
                         Siblings siblings = {});

    // Takes the place of a listener that could not be bound, for `reason`: its socket gets nothing.
    static Listener stand_in(const Address& address, const ListenerOptions& options, std::string reason);
    bool absent() const noexcept { return state_ == State::absent; }
    const std::string& absence() const noexcept { return absence_; }  // why; of one that is absent
    void set_absence(std::string reason) { absence_ = std::move(reason); }

    Listener(Listener&&) noexcept;
    Listener& operator=(Listener&&) noexcept;
    // Closes the sockets and removes the path of a unix socket, if it is still this one's inode and this is
    // the process that bound it.
    ~Listener();

    // The address as bound: with the kernel's port when 0 was asked for.
    const Address& address() const noexcept { return address_; }
    // The address that was asked for: port 0 stays 0.
    const Address& asked_for() const noexcept { return asked_for_; }
    // As given; unix and udp sockets are shared whatever they say.
    const ListenerOptions& options() const noexcept { return options_; }
    // All slots have one socket; so they have of a stand-in.
    bool shared() const noexcept { return absent() || shares_socket(address_, options_); }
    static bool shares_socket(const Address& address, const ListenerOptions& options) noexcept {
        return options.balance == Balance::shared || address.is_unix() || address.is_udp();
    }

    // Sockets that listen: the first ones.
    unsigned listening() const noexcept { return listening_; }
    unsigned sockets() const noexcept { return static_cast<unsigned>(sockets_.size()); }
    // The socket that worker `slot` accepts from; borrowed. Throws std::out_of_range.
    int socket_for(unsigned slot) const;

    // Binds more sockets of a reuseport group, or closes the highest ones (what waits in their queues is
    // reset: drain them first). Nothing to do for a shared one. Strong guarantee: on an exception the group
    // is as before.
    void resize(unsigned slots);

    // Applies what can change on a live socket (backlog, nodelay, defer-accept, keep-alive, receive buffer,
    // the rights of a unix path); the rest is ignored. Throws std::system_error with the old ones in force.
    void set_options(const ListenerOptions& options);

    // Which sockets of a reuseport group get new connections, evenly; all that listen when `slots` is empty
    // or names them all. Connections in the queues of the others stay there. Does nothing for a shared
    // listener. Sets the program whatever was set before: another holder of a socket may have put one of its
    // own there. Throws std::system_error.
    void steer(std::span<const unsigned> slots);
    // Puts the sockets back as they should be, and tells what was wrong. O_NONBLOCK, the limit of a wait in
    // accept(2), the backlog, a filter, a shutdown, the peer of a datagram socket; with `options_too` also
    // what SocketOptions knows, which takes longer. Where that cannot be undone a new socket is bound in
    // place of the old one, which workers still have: they must be given the new one. Options that the kernel
    // does not tell (TCP_MD5SIG, TCP_AO_ADD_KEY) are not found.
    enum class Look { state, options_too };
    std::vector<ListenerDamage> mend(Look look);
    // The path of a unix socket that has gone, or has come to name another file, is bound again. True when it
    // was; workers have the old socket then. Throws std::system_error, with everything as it was: it cannot
    // be had.
    bool renew();
    // Whether renew() has brought a new socket; asked for once.
    bool take_renewed() noexcept { return std::exchange(renewed_, false); }
    // How many sockets have been replaced by new ones.
    unsigned times_rebound() const noexcept { return times_rebound_; }
    // From now on the kernel drops what would open a connection, without a word to the client, or refuses it
    // where an ordinary user may not attach a filter: what has been opened, or is being opened, can be
    // accepted until nothing comes any more, and then the sockets be closed without a reset. Nothing to do
    // for unix and udp sockets.
    void refuse_new();
    // From now on what is new goes to the sibling that listens there, too, or is refused at once; what the
    // sockets have already, or is being opened, can be taken until nothing comes any more. The path of a unix
    // socket is removed. Best effort: an abstract unix name cannot be left so,
    // and a udp socket without a sibling is read to its end as it is.
    void turn_away() noexcept;
    bool turned_away() const noexcept { return state_ == State::turned_away; }
    // From now on another address of its port can be bound beside it, by this user alone.
    void allow_siblings();
    // Closes the sockets that do not listen, above the first `slots`.
    void drop_idle_sockets(unsigned slots);

    // listen(2) on every socket that does not yet, lowest slot first. Throws std::system_error: EADDRINUSE
    // when another one that was bound at the same time was faster; this one then takes none of its
    // connections. A udp socket receives already.
    // Only the first `slots` sockets: others may belong to workers that are not ready yet.
    void listen(unsigned slots = std::numeric_limits<unsigned>::max());

  private:
    enum class State {
        here,         // bound; its sockets listen or will
        absent,       // a stand-in
        refuses_new,  // the kernel drops or refuses new connections; ends when nothing comes any more
        turned_away,  // new connections go to a sibling or are refused; ends when nothing comes any more
    };
    struct Socket {
        explicit Socket(UniqueFd bound) : fd(std::move(bound)), as_made(fd.get()) {}
        int get() const noexcept { return fd.get(); }

        UniqueFd fd;
        SocketOptions as_made;
    };
    // The file that a unix socket made.
    struct UnixPath {
        dev_t device = 0;
        ino_t inode = 0;  // 0: none
        pid_t maker = 0;
    };

    Listener(const Address& address, const ListenerOptions& options);
    UniqueFd new_socket() const;
    static void bound_wait(int fd);
    UniqueFd bind_first(Siblings siblings);
    UniqueFd bind_one(bool first) const;
    void bind_path(int fd);
    void set_path_rights(const ListenerOptions& options) const;
    bool has_path() const noexcept;
    void apply_options(int fd, const ListenerOptions& options) const;
    void apply_stream_options(int fd, const ListenerOptions& options) const;
    void begin_listening(int fd, const ListenerOptions& options) const;
    std::string disturbance(unsigned slot) const;
    std::string breakage(unsigned slot) const;
    bool listens(unsigned slot) const noexcept;
    void look_at_options(unsigned slot, std::string& mended, std::string& broken) const;
    void leave_group(std::vector<ListenerDamage>& broken);
    ListenerDamage::Now restore(unsigned slot);
    bool restore_in_place(const Socket& socket) const;
    void bind_again(int fd) const noexcept;
    void rebind(unsigned slot);
    void left_group(unsigned slot);
    void apply_live_options(const ListenerOptions& options);
    void remove_path() noexcept;

    Address asked_for_;
    Address address_;
    ListenerOptions options_;
    std::vector<Socket> sockets_;
    unsigned listening_ = 0;       // sockets [0, listening_) listen
    std::vector<unsigned> order_;  // of a reuseport group: slots by the kernel's number for them
    unsigned times_rebound_ = 0;
    State state_ = State::here;
    std::string absence_;
    bool renewed_ = false;
    bool has_siblings_ = false;  // on its port, or had
    UnixPath path_;
};

}  // namespace drover
