// A hand-over between two real processes, each killed at every message. The test stands between them and
// passes on what they send, so that it knows what had left when one of them died.
#include "core/process/process.h"
#include "core/protocol/packet.h"
#include "tests/worker/scripted_module.h"
#include "worker/handover/handover_giver.h"
#include "worker/handover/handover_receiver.h"

#include <array>
#include <csignal>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/wait.h>

namespace drover::test {
namespace {

// So much kept input that each connection takes a message of its own, and the last one three more for parts.
constexpr std::size_t killed_connections = 6;
constexpr std::size_t kept_bytes = 20'000;
constexpr std::size_t kept_bytes_of_last = 70'000;

// Answers whole lines; what is none yet is kept, and moves.
Script line_script() {
    Script script;
    script.hand_over = [](ScriptedConnection&, std::string&) { return ScriptedConnection::Move::now; };
    script.input = [](ScriptedConnection& connection, std::string_view bytes) -> std::size_t {
        const std::size_t end = bytes.rfind('\n');
        if (end == bytes.npos) return 0;
        connection.write(bytes.substr(0, end + 1));
        return end + 1;
    };
    return script;
}

int run_giving_worker(int channel, const std::vector<int>& sockets) {
    Script script = line_script();
    ScriptedWorker worker(script);
    for (const int socket : sockets)
        worker.module()->connection({UniqueFd(socket), 0});
    HandoverGiver giver(worker.services().loop, worker.services().connections, {"127.0.0.1:0 scripted"});
    worker.settle();
    giver.add_receiver(UniqueFd(channel));
    giver.start();
    worker.run_until([] { return false; });  // until it is killed
    return 1;
}

int run_taking_worker(int channel) {
    Script script = line_script();
    ScriptedWorker worker(script);
    const HandoverReceiver receiver(
        worker.services().loop, worker.services().connections, UniqueFd(channel),
        [&](std::string_view) {
            return HandoverReceiver::Target{worker.module(), 0, AF_INET};
        },
        HandoverReceiver::EndHandler());
    worker.run_until([] { return false; });
    return 1;
}

struct KillTrial {
    enum class Victim { giver, taker };

    std::vector<UniqueFd> clients;
    std::vector<std::string> sent;
    UniqueFd giver_end;
    UniqueFd taker_end;
    Process giver;
    Process taker;
    unsigned batches_passed = 0;
    unsigned acks_passed = 0;

    KillTrial() {
        std::vector<UniqueFd> accepted;
        std::vector<int> kept;
        for (std::size_t i = 0; i < killed_connections; ++i) {
            auto [client, worker] = make_tcp_pair();
            const bool last = i + 1 == killed_connections;
            sent.push_back("first\n" + std::string(last ? kept_bytes_of_last : kept_bytes, 'a' + char(i)));
            REQUIRE(::send(client.get(), sent.back().data(), sent.back().size(), 0) ==
                    static_cast<ssize_t>(sent.back().size()));
            clients.push_back(std::move(client));
            kept.push_back(worker.get());
            accepted.push_back(std::move(worker));
        }
        auto [ours, theirs] = Channel::make_pair();
        giver_end = std::move(ours);
        std::vector<int> keep = kept;
        keep.push_back(theirs.get());
        giver = spawn({.loop = nullptr, .keep_fds = keep},
                      [&, end = theirs.get()] { return run_giving_worker(end, kept); });
        auto [our_end, their_end] = Channel::make_pair();
        taker_end = std::move(our_end);
        const std::array keep_end{their_end.get()};
        taker = spawn({.loop = nullptr, .keep_fds = keep_end},
                      [end = their_end.get()] { return run_taking_worker(end); });
    }
    ~KillTrial() {
        for (const Process* process : {&giver, &taker}) {
            process->signal(SIGKILL);
            ::waitpid(process->pid(), nullptr, 0);
        }
    }

    // Passes one message on; false when there is none.
    bool pass_one(const UniqueFd& from, const UniqueFd& to) {
        std::vector<std::byte> buffer(sizeof(MessageHeader) + max_message_payload);
        const ReceivedPacket packet = receive_packet(from.get(), buffer);
        if (packet.result != PacketReceived::received) return false;
        std::vector<int> fds;
        for (const UniqueFd& fd : packet.fds)
            fds.push_back(fd.get());
        MessageHeader header;
        std::memcpy(&header, buffer.data(), sizeof header);
        const auto bytes = std::span<const std::byte>(buffer).first(packet.size);
        if (send_packet(to.get(), bytes, {}, fds) != PacketSent::sent) return false;
        if (header.type == static_cast<std::uint16_t>(MessageType::handover_connections)) ++batches_passed;
        if (header.type == static_cast<std::uint16_t>(MessageType::handover_ack)) ++acks_passed;
        return true;
    }
    // Passes `count` messages on, of both; false when there were fewer before all connections had moved.
    bool pass(unsigned count) {
        const Deadline deadline;
        while (count > 0 && !deadline.passed()) {
            if (pass_one(giver_end, taker_end) || pass_one(taker_end, giver_end)) {
                --count;
                continue;
            }
            if (acks_passed == killed_connections) return false;
            std::array<pollfd, 2> ends{{{giver_end.get(), POLLIN, 0}, {taker_end.get(), POLLIN, 0}}};
            ::poll(ends.data(), ends.size(), deadline.remaining_ms());
        }
        REQUIRE(count == 0);
        return true;
    }
    // What it had sent has left: only then its end is known to the other one.
    void kill(Victim victim) {
        Process& process = victim == Victim::giver ? giver : taker;
        process.signal(SIGKILL);
        siginfo_t info{};
        REQUIRE(::waitid(P_PID, static_cast<id_t>(process.pid()), &info, WEXITED | WNOWAIT) == 0);
        UniqueFd& from = victim == Victim::giver ? giver_end : taker_end;
        UniqueFd& to = victim == Victim::giver ? taker_end : giver_end;
        while (pass_one(from, to)) {
        }
        giver_end.reset();
        taker_end.reset();
    }
    // Ends every line and reads the answers: how many connections had all of them. Fails for one whose answer
    // is another than what it sent, or that stays without an answer.
    unsigned count_whole() {
        unsigned whole = 0;
        for (std::size_t i = 0; i < clients.size(); ++i) {
            static_cast<void>(::send(clients[i].get(), "last\n", 5, MSG_NOSIGNAL));
            sent[i] += "last\n";
            std::string received;
            const Deadline deadline;
            bool ended = false;
            while (!ended && received.size() < sent[i].size() && !deadline.passed()) {
                pollfd entry{clients[i].get(), POLLIN, 0};
                ::poll(&entry, 1, deadline.remaining_ms());
                std::array<char, 65536> buffer;
                const ssize_t size = ::recv(clients[i].get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
                if (size > 0) received.append(buffer.data(), static_cast<std::size_t>(size));
                ended = size == 0 || (size < 0 && errno != EAGAIN);
            }
            CHECK(sent[i].starts_with(received));
            const bool answered = received.size() == sent[i].size();
            CHECK_MESSAGE((answered || ended), "connection " << i << " is neither answered nor ended");
            if (answered) ++whole;
        }
        return whole;
    }
};

}  // namespace

TEST_CASE("a receiver that is killed at any message: what it had not acknowledged is served on, whole") {
    bool more = true;
    unsigned message = 0;
    while (more) {
        KillTrial trial;
        more = trial.pass(message);
        trial.kill(KillTrial::Victim::taker);
        INFO("message ", message, ", acknowledged ", trial.acks_passed);
        CHECK(trial.count_whole() == killed_connections - trial.acks_passed);
        ++message;
    }
    CHECK(message > 15);
}

TEST_CASE("a giver that is killed at any message: what it had sent is served on by the receiver, whole") {
    bool more = true;
    unsigned message = 0;
    while (more) {
        KillTrial trial;
        more = trial.pass(message);
        trial.kill(KillTrial::Victim::giver);
        INFO("message ", message, ", sent ", trial.batches_passed);
        CHECK(trial.count_whole() == trial.batches_passed);
        ++message;
    }
    CHECK(message > 15);
}

}  // namespace drover::test
