// EventLoop is one process's libevent base (raw events; no bufferevents). FdWatch, Timer and SignalWatch are
// registrations in it; each is owned by whoever reacts to it and must be destroyed before the loop and before
// the descriptor it watches is closed (a closed descriptor that another process still holds leaves a ghost in
// epoll). An exception thrown by a callback does not cross libevent's frames: it stops the loop and run()
// rethrows it. event_loop.cpp is the only file that includes libevent.
// Runs in: every process, one loop each, one thread.
#pragma once

#include "core/base/callback.h"
#include "core/base/unique_fd.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <span>

#include <signal.h>

struct event_base;

namespace drover {

class EventLoop {
  public:
    // Throws std::system_error when the kernel gives it no descriptors.
    EventLoop();
    ~EventLoop();
    EventLoop(const EventLoop&) = delete;
    EventLoop& operator=(const EventLoop&) = delete;

    // Dispatches until stop(). Rethrows the first exception of a callback.
    void run();

    // Dispatches what is ready, waiting at most `max_wait` for the first event. For tests and short drains.
    void run_once(std::chrono::milliseconds max_wait);

    // Ends run() after the callback that is running; before run(), ends it as soon as it is called.
    void stop() noexcept;

    // In a forked child, on the loop it inherited: lets the base lie, so that nothing the child does touches
    // the parent's registrations; the child then closes the descriptors that the base has open. The parent's
    // FdWatch, Timer and SignalWatch objects must not be used or destroyed in the child afterwards.
    void abandon_in_child() noexcept;

    // CLOCK_MONOTONIC, read at each call.
    std::int64_t now_ms() const noexcept { return now_us() / 1000; }
    std::int64_t now_us() const noexcept;
    // As of the kernel's last tick: up to coarse_step_ms behind, for a few nanoseconds and never a system
    // call.
    std::int64_t coarse_now_ms() const noexcept;
    static constexpr std::int64_t coarse_step_ms = 10;

  private:
    friend class FdWatch;
    friend class Timer;
    friend class SignalWatch;
    void keep_exception() noexcept;
    void dispatch(int flags);

    event_base* base_ = nullptr;
    std::exception_ptr failure_;
    bool stopped_ = false;
};

// Room for one libevent `struct event`, so that this header needs none of libevent's. Checked in
// event_loop.cpp.
struct alignas(8) EventStorage {
    std::byte bytes[128];
};

// What a descriptor is watched for. `none` keeps the registration's handler but asks the kernel for nothing.
enum class Interest : std::uint8_t { none = 0, read = 1, write = 2, read_write = 3 };

// What happened. Level-triggered. A hang-up or an error is reported as all that the watch is interested in,
// so that the next call on the descriptor shows it.
struct Readiness {
    bool readable = false;
    bool writable = false;
};

// A descriptor in the loop. The descriptor is borrowed. Special state: stopped (not in any loop).
// A handler may destroy its own FdWatch or any other one.
class FdWatch {
  public:
    using Handler = Callback<void(Readiness)>;

    FdWatch() noexcept = default;
    ~FdWatch() { stop(); }
    FdWatch(const FdWatch&) = delete;
    FdWatch& operator=(const FdWatch&) = delete;

    // Starting a started watch moves it. Throws std::system_error when the kernel refuses the descriptor (a
    // regular file: EPERM); the watch is stopped then.
    void start(EventLoop& loop, int fd, Interest interest, Handler handler);

    // Changes the interest of a started watch; no system call when it is the same already. Throws as start()
    // does.
    void want(Interest interest);

    void stop() noexcept;
    bool started() const noexcept { return loop_ != nullptr; }
    Interest interest() const noexcept { return interest_; }
    EventLoop* loop() const noexcept { return loop_; }

  private:
    static void dispatch(int fd, short what, void* self);
    void add(Interest interest);

    EventStorage event_{};
    EventLoop* loop_ = nullptr;
    int fd_ = -1;
    Handler handler_;
    Interest interest_ = Interest::none;
};

// A timer on CLOCK_MONOTONIC; early by a kernel tick at most (the loop reads the coarse clock). Special
// state: stopped. Starting a started timer moves it. A handler may destroy its own Timer.
class Timer {
  public:
    using Handler = Callback<void()>;

    Timer(EventLoop& loop, Handler handler) noexcept;
    ~Timer() { stop(); }
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;

    void start_once(std::chrono::milliseconds after);
    void start_every(std::chrono::milliseconds period);
    void stop() noexcept;
    bool started() const noexcept { return started_; }

  private:
    static void dispatch(int fd, short what, void* self);
    void start(std::chrono::milliseconds after, bool repeat);

    EventStorage event_{};
    EventLoop& loop_;
    Handler handler_;
    bool repeat_ = false;
    bool started_ = false;
};

// A signal, delivered as an ordinary event. One loop a process may hold signal watches. A handler may destroy
// its own SignalWatch. The signal gets the action back that it had when the watch is destroyed.
class SignalWatch {
  public:
    using Handler = Callback<void(int signal)>;

    SignalWatch(EventLoop& loop, int signal, Handler handler);
    ~SignalWatch();
    SignalWatch(const SignalWatch&) = delete;
    SignalWatch& operator=(const SignalWatch&) = delete;

  private:
    static void dispatch(int signal, short what, void* self);

    EventStorage event_{};
    EventLoop& loop_;
    Handler handler_;
};

// Signals that stay blocked while this lives and are read one by one. To a process that blocks SIGTTOU the
// kernel does not send it: it may write to its terminal from the background (stty tostop), where one with a
// handler would try again for ever.
class BlockedSignals {
  public:
    using Handler = Callback<void(int signal)>;

    // Throws std::system_error when there is no descriptor for it.
    BlockedSignals(EventLoop& loop, std::span<const int> signals, Handler handler);
    ~BlockedSignals();
    BlockedSignals(const BlockedSignals&) = delete;
    BlockedSignals& operator=(const BlockedSignals&) = delete;

  private:
    void on_ready(Readiness readiness);

    Handler handler_;
    UniqueFd fd_;
    FdWatch watch_;
    sigset_t before_{};
};

}  // namespace drover
