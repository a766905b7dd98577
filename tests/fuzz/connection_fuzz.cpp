// A scripted peer and a scripted module on the two ends of a socket pair: whatever both do, and in whatever
// order, what the peer receives is what was written, nothing is called on a connection that has ended, and
// every connection is gone at the end. Each byte of the input is one step.
#include "core/base/system_error.h"
#include "core/counters/counter.h"
#include "core/counters/counter_row.h"
#include "core/counters/counter_table.h"
#include "core/log/log.h"
#include "core/loop/mailbox.h"
#include "worker/module/blocking_pool.h"
#include "worker/module/module_files.h"
#include "worker/stream/connection.h"
#include "worker/stream/connection_list.h"

#include <array>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <sys/mman.h>
#include <sys/socket.h>

using namespace drover;

namespace {

[[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "connection_fuzz: %s\n", what);
    std::abort();
}

constexpr std::size_t file_size = 40'000;

// The same bytes everywhere, so that what arrives can be checked by its place alone.
char byte_at(std::size_t place) {
    return static_cast<char>('a' + place % 23);
}

const SharedFd& shared_file() {
    static const SharedFd file = [] {
        UniqueFd memory(check_call(::memfd_create("fuzz", MFD_CLOEXEC), "memfd_create"));
        std::string bytes;
        for (std::size_t place = 0; place < file_size + 23; ++place)
            bytes += byte_at(place);
        if (::write(memory.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
            fail("write");
        return std::make_shared<const UniqueFd>(std::move(memory));
    }();
    return file;
}

struct Script {
    std::size_t written = 0;
    bool cut_off = false;  // the module has ended it: not all has to arrive
    bool alive = false;
    std::uint8_t next = 0;  // what the next hook does
};

class FuzzedConnection final : public Connection {
  public:
    FuzzedConnection(Services& services, Accepted accepted, Script& script)
        : Connection(services, std::move(accepted)), script_(script) {
        script_.alive = true;
    }
    ~FuzzedConnection() override { script_.alive = false; }

    void act(std::uint8_t what) {
        if (closing()) return;
        switch (what % 16) {
            case 0:
            case 1:
                return say(what);
            case 2:
                return say(std::size_t{what} * 1000);
            case 3:
                return say_borrowed(std::size_t{what} * 100);
            case 4:
                return say_file(std::size_t{what} * 150);
            case 5:
                return pause_input();
            case 6:
                return resume_input();
            case 7:
                script_.cut_off = true;
                return close();
            case 8:
                script_.cut_off = true;
                return abort();
            case 9:
                return in_hook([&] {
                    say(what);
                    say_file(what);
                    say(what);
                });
            case 10:
                return set_time_limit(std::chrono::milliseconds(what));
            case 11:
                return end_output_once();
            default:
                return;
        }
    }

  private:
    std::string bytes(std::size_t size) {
        std::string text;
        for (std::size_t index = 0; index < size; ++index)
            text += byte_at(script_.written + index);
        return text;
    }
    void say(std::size_t size) {
        if (ended_) return;
        const std::string text = bytes(size);
        script_.written += size;  // first: the write may call hooks
        write(text);
    }
    void say_borrowed(std::size_t size) {
        if (ended_) return;
        // Kept until the connection is gone: longer than any hook.
        kept_.push_back(std::make_unique<std::string>(bytes(size)));
        script_.written += size;
        write_borrowed(*kept_.back());
    }
    void say_file(std::size_t size) {
        if (ended_) return;
        const std::size_t place = script_.written % 23;
        script_.written += size;
        send_file({shared_file(), place, size});
    }
    void end_output_once() {
        ended_ = true;
        end_output();
    }
    void hook() {
        if (!script_.alive || closing()) fail("a hook of a connection that has ended");
        act(script_.next);
    }

    std::size_t on_input(std::string_view input) override {
        const std::uint8_t what = script_.next;
        hook();
        return what % 3 == 0 ? input.size() : input.size() / 2;
    }
    void on_end_of_input() override {
        hook();
        if (script_.next % 2 == 0) {
            script_.cut_off = true;
            close();
        }
    }
    void on_writable() override { hook(); }
    void on_sent() override { hook(); }
    void on_time_limit() override { hook(); }

    Script& script_;
    std::vector<std::unique_ptr<std::string>> kept_;
    bool ended_ = false;
};

struct Peer {
    UniqueFd socket;
    std::size_t received = 0;

    void read(std::size_t size) {
        std::array<char, 65536> buffer;
        const ssize_t got = ::recv(socket.get(), buffer.data(), std::min(size, buffer.size()), MSG_DONTWAIT);
        for (ssize_t index = 0; index < got; ++index)
            if (buffer[static_cast<std::size_t>(index)] != byte_at(received++))
                fail("another byte was written");
    }
    void act(std::uint8_t what) {
        const std::string text(std::size_t{what} * 8 + 1, 'i');
        switch (what % 8) {
            case 0:
            case 1:
                ::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
                return;
            case 2:
                return read(what);
            case 3:
            case 4:
                return read(65536);
            case 5:
                if (what > 200) ::shutdown(socket.get(), SHUT_WR);
                return;
            case 6:
                if (what > 220) ::shutdown(socket.get(), SHUT_RD);
                return;
            default:
                return;
        }
    }
};

}  // namespace

// As every worker: sendfile(2) has no MSG_NOSIGNAL.
extern "C" int LLVMFuzzerInitialize(int*, char***) {
    std::signal(SIGPIPE, SIG_IGN);
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    EventLoop loop;
    Log log(LogIdentity{.role = "fuzz", .pool = "main", .slot = 0});
    log.set_level(LogLevel::critical);
    DeadlineWheel deadlines(loop);
    ConnectionList connections(loop);
    CounterTable table;
    table.declare(1, {});
    const auto row = table.take_row({.instance = 1, .generation = 1, .pool = "main", .slot = 0});
    const CounterRow counters(table.read_only_fd(), table.row_fd(row.value()), row.value(), 1);
    Mailbox mailbox(loop);
    BlockingPool blocking(mailbox, {.threads = 1});
    ModuleFiles files;
    Services services{loop, log, deadlines, connections, mailbox, blocking, files, counters, nullptr};

    std::array<int, 2> ends{};
    check_call(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()),
               "socketpair");
    const int small = 8192;
    ::setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    Peer peer{UniqueFd(ends[1])};
    Script script;
    auto& connection = open_connection<FuzzedConnection>(services, Accepted{UniqueFd(ends[0]), 0}, script);
    for (std::size_t index = 0; index + 1 < size; index += 2) {
        script.next = data[index + 1];
        if (data[index] % 4 == 0 && script.alive) connection.act(data[index + 1]);
        if (data[index] % 4 == 1) peer.act(data[index + 1]);
        if (data[index] % 4 == 2) deadlines.advance(data[index + 1] % 8);
        loop.run_once(std::chrono::milliseconds(0));
    }
    // What was written arrives, when nobody has ended the connection.
    script.next = 15;
    if (script.alive && !script.cut_off) {
        for (int idle = 0; idle < 50 && script.alive; ++idle) {
            const std::size_t before = peer.received;
            loop.run_once(std::chrono::milliseconds(0));
            peer.read(65536);
            if (peer.received != before) idle = 0;
        }
    }
    connections.abort_all();
    loop.run_once(std::chrono::milliseconds(0));
    if (script.alive || connections.size() != 0) fail("a connection is left");
    if (peer.received > script.written) fail("more arrived than was written");
    return 0;
}
