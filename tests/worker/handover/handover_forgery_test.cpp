// A giver that gives what it should not, or keeps a copy of what it gave and turns its flags: it costs the
// receiver the connection at most. Each part runs in a child with an alarm: a receiver that waits dies of it.
#include "tests/support/in_child.h"
#include "tests/support/open_fds.h"
#include "tests/worker/handover/raw_giver.h"
#include "tests/worker/scripted_module.h"
#include "worker/handover/handover_giver.h"
#include "worker/handover/handover_receiver.h"
#include "worker/stream/connection_list.h"

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace drover::test {
namespace {

void in_bounded_child(const std::function<int()>& part) {
    in_child([&] {
        ::alarm(sanitizers ? 60 : 20);
        return part();
    });
}

struct ForgedHandOver {
    Script script;
    ScriptedWorker worker;
    RawGiver giver;
    HandoverReceiver receiver;
    std::vector<UniqueFd> clients;

    ForgedHandOver()
        : script(make_script()),
          worker(script),
          receiver(
              worker.services().loop, worker.services().connections, std::move(giver.ends.second),
              [this](std::string_view) {
                  return HandoverReceiver::Target{worker.module(), 0, AF_INET};
              },
              HandoverReceiver::EndHandler()) {
        giver.begin("127.0.0.1:0 scripted\n");
    }
    static Script make_script() {
        Script script;
        script.input = [](ScriptedConnection& connection, std::string_view bytes) {
            connection.write(bytes);
            return bytes.size();
        };
        return script;
    }
    UniqueFd add_client() {
        auto [client, accepted] = make_tcp_pair();
        clients.push_back(std::move(client));
        return std::move(accepted);
    }
    std::optional<HandoverAck> give(const std::vector<CarriedConnection>& connections,
                                    std::span<const int> fds) {
        giver.give(connections, fds);
        std::optional<HandoverAck> ack;
        worker.run_until([&] { return (ack = giver.read_ack()).has_value(); });
        return ack;
    }
    bool answers(const UniqueFd& client) {
        if (::send(client.get(), "hi", 2, MSG_NOSIGNAL) != 2) return false;
        std::array<char, 8> bytes;
        return worker.run_until([&] { return ::recv(client.get(), bytes.data(), bytes.size(), 0) == 2; });
    }
};

UniqueFd sample_file(std::size_t size) {
    UniqueFd memory(::memfd_create("file", MFD_CLOEXEC));
    if (::ftruncate(memory.get(), static_cast<off_t>(size)) != 0) memory.reset();
    return memory;
}

void make_blocking(const UniqueFd& socket) {
    ::fcntl(socket.get(), F_SETFL, 0);
}

}  // namespace

TEST_CASE("what is no connection of the listener's family is refused; what stands beside it is taken") {
    in_bounded_child([] {
        ForgedHandOver forged;
        std::vector<UniqueFd> fds;
        fds.push_back(sample_file(100));
        fds.emplace_back(::open("/proc/self/exe", O_PATH | O_CLOEXEC));
        fds.emplace_back(::open("/", O_RDONLY | O_CLOEXEC));
        fds.emplace_back(::eventfd(0, EFD_CLOEXEC));
        int pipe[2];
        if (::pipe2(pipe, O_CLOEXEC) != 0) return 1;
        fds.emplace_back(pipe[0]);
        fds.emplace_back(pipe[1]);
        fds.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));  // not connected
        UniqueFd listening(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        if (::listen(listening.get(), 1) != 0) return 2;
        fds.push_back(std::move(listening));
        fds.emplace_back(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        int pair[2];
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return 3;
        fds.emplace_back(pair[0]);
        fds.emplace_back(pair[1]);
        const std::size_t forgeries = fds.size();
        fds.push_back(forged.add_client());
        std::vector<int> numbers;
        for (const UniqueFd& fd : fds) {
            if (!fd) return 4;
            numbers.push_back(fd.get());
        }
        const std::size_t before = count_open_fds();
        const std::optional<HandoverAck> ack =
            forged.give(std::vector<CarriedConnection>(fds.size()), numbers);
        if (!ack) return 5;
        for (std::size_t i = 0; i < forgeries; ++i)
            if (!is_refused(*ack, i)) return 10 + static_cast<int>(i);
        if (is_refused(*ack, forgeries)) return 6;
        if (count_open_fds() != before + 1) return 7;
        fds.clear();
        return forged.answers(forged.clients[0]) ? 0 : 8;
    });
}

TEST_CASE("one connection many times over harms nobody else") {
    in_bounded_child([] {
        ForgedHandOver forged;
        const UniqueFd other = forged.add_client();
        if (!forged.give({CarriedConnection()}, std::array{other.get()})) return 1;
        UniqueFd socket = forged.add_client();
        const std::vector<int> fds(250, socket.get());
        if (!forged.give(std::vector<CarriedConnection>(250), fds)) return 2;
        socket.reset();
        if (::send(forged.clients[1].get(), "all", 3, 0) != 3) return 3;
        forged.worker.settle();
        if (!forged.answers(forged.clients[0])) return 4;
        forged.clients[1].reset();
        if (!forged.worker.run_until([&] { return forged.worker.connection_count() == 1; })) return 5;
        return forged.answers(forged.clients[0]) ? 0 : 6;
    });
}

TEST_CASE("a file that travels is a regular one, readable, and as long as promised") {
    in_bounded_child([] {
        ForgedHandOver forged;
        const UniqueFd good = sample_file(200'000);
        std::vector<UniqueFd> files;
        files.push_back(sample_file(199'999));
        files.emplace_back(::open("/proc/self/exe", O_PATH | O_CLOEXEC));
        files.emplace_back(::open("/", O_RDONLY | O_CLOEXEC));
        files.emplace_back(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
        files.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const std::string name = "/proc/self/fd/" + std::to_string(good.get());
        files.emplace_back(::open(name.c_str(), O_WRONLY | O_CLOEXEC));
        CarriedConnection carried;
        carried.file.length = 200'000;
        for (std::size_t i = 0; i < files.size(); ++i) {
            if (!files[i]) return 30 + static_cast<int>(i);
            const UniqueFd socket = forged.add_client();
            const auto ack = forged.give({carried}, std::array{socket.get(), files[i].get()});
            if (!ack || !is_refused(*ack, 0)) return 10 + static_cast<int>(i);
        }
        const UniqueFd socket = forged.add_client();
        const auto ack = forged.give({carried}, std::array{socket.get(), good.get()});
        if (!ack || is_refused(*ack, 0)) return 1;
        std::size_t received = 0;
        std::vector<char> bytes(65536);
        const bool all = forged.worker.run_until([&] {
            const ssize_t size = ::recv(forged.clients.back().get(), bytes.data(), bytes.size(), 0);
            if (size > 0) received += static_cast<std::size_t>(size);
            return received == 200'000;
        });
        return all ? 0 : 2;
    });
}

TEST_CASE("a giver that keeps a copy and makes it blocking again does not keep the receiver waiting") {
    in_bounded_child([] {
        ForgedHandOver forged;
        const UniqueFd first = forged.add_client();
        const UniqueFd second = forged.add_client();
        const std::vector<CarriedConnection> two(2);
        if (!forged.give(two, std::array{first.get(), second.get()})) return 1;
        // The two events come together; whichever is first, the other's bytes are gone by then.
        std::array<char, 64> bytes;
        forged.script.input = [&](ScriptedConnection& connection, std::string_view input) {
            make_blocking(first);
            make_blocking(second);
            for (const UniqueFd* copy : {&first, &second})
                static_cast<void>(::recv(copy->get(), bytes.data(), bytes.size(), MSG_DONTWAIT));
            connection.write(input);
            return input.size();
        };
        for (const UniqueFd& client : forged.clients)
            if (::send(client.get(), "x", 1, 0) != 1) return 2;
        forged.worker.settle();
        return forged.worker.connection_count() == 2 ? 0 : 3;
    });
    in_bounded_child([] {
        ForgedHandOver forged;
        const UniqueFd file = sample_file(20'000'000);
        const UniqueFd socket = forged.add_client();
        CarriedConnection carried;
        carried.file.length = 20'000'000;
        if (!forged.give({carried}, std::array{socket.get(), file.get()})) return 1;
        for (int turn = 0; turn < 100; ++turn) {
            make_blocking(socket);
            forged.worker.settle();
        }
        if (forged.worker.connection_count() != 1) return 2;
        std::size_t received = 0;
        std::vector<char> bytes(1'000'000);
        const bool all = forged.worker.run_until([&] {
            make_blocking(socket);
            const ssize_t size = ::recv(forged.clients[0].get(), bytes.data(), bytes.size(), 0);
            if (size > 0) received += static_cast<std::size_t>(size);
            return received == 20'000'000;
        });
        return all ? 0 : 3;
    });
}

TEST_CASE("a file on a connection that was taken over is not copied") {
    in_bounded_child([] {
        ForgedHandOver forged;
        const UniqueFd file = sample_file(20'000'000);
        const UniqueFd socket = forged.add_client();
        const int room = 200'000;
        if (::setsockopt(socket.get(), SOL_SOCKET, SO_SNDBUF, &room, sizeof room) != 0) return 1;
        CarriedConnection carried;
        carried.file.length = 20'000'000;
        if (!forged.give({carried}, std::array{socket.get(), file.get()})) return 2;
        // In one step more than a copy would be.
        int waits = 0;
        for (int turn = 0; turn < 1000 && waits == 0; ++turn) {
            forged.worker.services().loop.run_once(std::chrono::milliseconds(10));
            if (::ioctl(socket.get(), SIOCOUTQ, &waits) != 0) return 3;
        }
        return waits > 64 * 1024 ? 0 : 4;
    });
}

TEST_CASE("a giver that makes close wait for the client does not keep the receiver waiting") {
    in_bounded_child([] {
        ForgedHandOver forged;
        UniqueFd socket = forged.add_client();
        const std::string bytes(1'000'000, 'x');
        while (::send(socket.get(), bytes.data(), bytes.size(), MSG_DONTWAIT) > 0) {
        }
        const linger long_time{1, 1000};
        const std::vector<CarriedConnection> twice(2);
        if (!forged.give(twice, std::array{socket.get(), socket.get()})) return 1;
        ::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &long_time, sizeof long_time);
        socket.reset();
        forged.worker.services().connections.abort_all();
        return 0;
    });
}

TEST_CASE("what cannot be watched any more costs one connection") {
    in_bounded_child([] {
        Script script = ForgedHandOver::make_script();
        script.hand_over = [](ScriptedConnection&, std::string&) { return ScriptedConnection::Move::now; };
        ScriptedWorker worker(script);
        FixtureClient lost(worker);
        const int lost_fd = script.last->fd();
        FixtureClient kept(worker);
        worker.settle();
        HandoverGiver giver(worker.services().loop, worker.services().connections, {"127.0.0.1:0 scripted"});
        auto [give, take] = Channel::make_pair();
        giver.add_receiver(std::move(give));
        giver.start();
        const UniqueFd file = sample_file(1);
        if (::dup3(file.get(), lost_fd, O_CLOEXEC) != lost_fd) return 1;  // epoll_ctl(2) says EPERM
        take.reset();
        if (!worker.run_until([&] { return worker.connection_count() == 1; })) return 2;
        if (!kept.send("still here")) return 3;
        return kept.read_bytes(10) ? 0 : 4;
    });
}

}  // namespace drover::test
