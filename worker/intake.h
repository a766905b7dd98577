// Intake is how clients come into a worker: the listeners of its pool, sockets that it watches for other
// slots, and workers that hand their connections over to it. Each client goes to the module of its listener.
// A worker that holds max_connections accepts no more until one ends; in a full pool idle connections make
// room. Owned by the worker; its states come in this order: waiting (for the word to serve), open or full,
// ending. Runs in: worker.
#pragma once

#include "core/counters/counter.h"
#include "core/log/log.h"
#include "core/loop/event_loop.h"
#include "worker/datagram/datagram_listeners.h"
#include "worker/handover/handover_receiver.h"
#include "worker/listener_names.h"
#include "worker/room_sign.h"
#include "worker/stream/acceptor.h"
#include "worker/stream/connection_list.h"

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace drover {

class Configuration;
class CounterRow;
class ModuleHost;
struct PoolSettings;

// What a worker does after it has accepted a connection.
enum class Admission : std::uint8_t {
    go_on,          // there is room
    go_on_if_idle,  // the next one can take the place of an idle connection
    displace,       // idle connections end now; without any it pauses
    pause
};
Admission admission(std::uint64_t connections, std::uint64_t limit, bool pool_full) noexcept;

class Intake {
  public:
    struct Handlers {
        Callback<void()> on_room;  // full() has changed
        Callback<void()>
            on_ended;  // a listening socket has closed, a giver is done, or the last reply was given
    };
    // Made while a hot reload is prepared, so that nothing can fail when it is put in place.
    struct Next {
        std::vector<NamedListener> listeners;
        // By number of the next generation; null for udp listeners, and where there is one already.
        std::vector<std::unique_ptr<Acceptor>> acceptors;
        DatagramListeners::Next datagrams;
    };

    Intake(EventLoop& loop, Log& log, ConnectionList& connections, Handlers handlers);

    // Once, when the modules have started. `sockets` are by number of the listener. Throws as prepare().
    void set_up(const ModuleHost& modules, const CounterRow& counters,
                const std::shared_ptr<const Configuration>& configuration, std::vector<UniqueFd> sockets);
    // What the process can hold (RLIMIT_NOFILE), or the pool's max_connections.
    void set_limit(const PoolSettings& pool);
    void open();

    // The steps of a hot reload. Throws std::runtime_error when a socket or a module is missing,
    // std::system_error when the kernel refuses one.
    Next prepare(const std::shared_ptr<const Configuration>& configuration, std::vector<UniqueFd> sockets);
    // A listener that both generations have keeps its acceptor, and its connections, under its new number.
    void commit(Next next);
    // When the modules, too, serve the next generation: takes what waits on udp listeners that are gone.
    void finish_gone() { datagrams_.finish_gone(); }
    // False while a listening socket is open whose address a hot reload took away.
    bool gone_closed() const noexcept;

    // A socket whose own worker is gone for good, or for a while: what waits in its queue, and handshakes
    // that are under way, are this worker's.
    void watch(unsigned listener, UniqueFd socket);
    // No later generation has the address of this listener.
    void note_end(unsigned listener);
    void set_pool_full(bool full);
    void on_connection_closed();
    // Another worker gives its connections.
    void add_giver(UniqueFd socket);
    // What they have not been told to be ours is theirs.
    void drop_givers();

    // The worker leaves: takes what waits, then closes the listeners. With a successor, which has the same
    // sockets, what waits at this moment; else what comes until it is quiet.
    void finish(bool has_successor);
    void close();

    const ListenerNames& listeners() const noexcept { return listeners_; }
    std::uint64_t accepted() const noexcept { return accepted_.value(); }
    bool full() const noexcept { return room_.full(); }
    std::uint32_t return_addresses() const noexcept { return datagrams_.return_addresses(); }
    bool accepting() const noexcept;
    // Nobody comes any more: no socket is open, no reply is owed, no worker gives.
    bool done() const noexcept;

  private:
    enum class State : std::uint8_t { waiting, open, full, ending };
    using Acceptors = std::vector<std::unique_ptr<Acceptor>>;

    std::unique_ptr<Acceptor> make_acceptor(UniqueFd socket, unsigned listener);
    Acceptors take_gone(const std::vector<unsigned>& new_index);
    bool ends(unsigned listener) const noexcept;
    void on_accept(Accepted accepted);
    void on_shortage(int error);
    bool goes_on();
    void pause();
    void resume();
    void look_for_room();
    HandoverReceiver::Target find_target(std::string_view listener_name);
    Module* module_of_gone(std::string_view listener_name) const;
    std::size_t room_for_connections() const;

    EventLoop& loop_;
    Log& log_;
    ConnectionList& connections_;
    Handlers handlers_;
    const ModuleHost* modules_ = nullptr;  // these two from set_up() on
    const CounterRow* counters_ = nullptr;
    ListenerNames listeners_;
    Acceptors acceptors_;           // of the listeners that take connections
    Acceptors watched_;             // sockets of other slots, and of listeners that are gone
    std::vector<unsigned> ending_;  // listeners of this generation whose address no later one has
    DatagramListeners datagrams_;
    std::vector<std::unique_ptr<HandoverReceiver>> givers_;
    Counter accepted_;
    Counter refused_;
    Counter displaced_;
    State state_ = State::waiting;
    std::uint64_t limit_ = 0;     // connections
    RoomSign room_;               // what the master is told of the limit
    Timer room_timer_;            // full, in a full pool: a connection may have become idle
    bool pool_full_ = false;      // no other worker has room
    bool shortage_said_ = false;  // of descriptors
};

}  // namespace drover
