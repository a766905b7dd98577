#include "core/protocol/channel.h"

#include "core/process/process.h"
#include "tests/support/in_child.h"
#include "tests/support/open_fds.h"
#include "tests/support/raw_peer.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace drover;
using namespace drover::test;
using namespace std::chrono_literals;

TEST_CASE("channel: descriptors lost to the limit close the channel and leak nothing") {
    in_child([] {
        RawPeer peer;
        peer.hello();
        const int fds[] = {0, 1};
        const std::size_t before = count_open_fds();
        // One number is left for two descriptors.
        const rlimit limit{.rlim_cur = before + 1, .rlim_max = before + 1};
        if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 1;
        peer.send(MessageType::counter_table, std::string(sizeof(CounterTableMessage), '\0'), fds);
        if (!contains(peer.reason(), "lost")) return 2;
        if (!peer.side.messages.empty()) return 3;
        return count_open_fds() == before - 1 ? 0 : 4;  // the channel's own socket is closed
    });
}

TEST_CASE("channel: with a handler for it, a message whose descriptors were lost is a shortage") {
    in_child([] {
        RawPeer peer;
        peer.hello();
        peer.loop.run_once(0ms);
        struct {
            std::size_t came = 0;
            std::string payload;
            void operator()(Message& message) {
                came = message.fds.size();
                payload = message.text();
            }
        } cut;
        peer.side.channel->set_cut_handler(Channel::MessageHandler::of(&cut));
        const int fds[] = {0, 1, 2};
        const std::size_t before = count_open_fds();
        const rlimit limit{.rlim_cur = before + 2, .rlim_max = before + 2};
        if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 1;
        const std::string batch(sizeof(HandoverBatch), 'b');
        peer.send(MessageType::handover_connections, batch, fds);
        peer.send(MessageType::failed, "behind it");
        if (!run_until(peer.loop, [&] { return peer.side.messages.size() == 1; })) return 2;
        if (cut.came != 2 || cut.payload != batch) return 3;
        return count_open_fds() == before && peer.side.channel->open() ? 0 : 4;
    });
}

TEST_CASE("channel: the room that is kept for one kind of message is its alone") {
    in_child([] {
        RawPeer peer;
        peer.hello();
        peer.loop.run_once(0ms);
        struct {
            int lost = 0;
            void operator()(Message&) { ++lost; }
        } cut;
        peer.side.channel->set_cut_handler(Channel::MessageHandler::of(&cut));
        peer.side.channel->keep_room_for(MessageType::handover_give);
        const int fds[] = {2};
        const std::size_t before = count_open_fds();
        const rlimit limit{.rlim_cur = before, .rlim_max = before};
        if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 1;
        const std::string successor(sizeof(HandoverPeer), '\0');
        peer.send(MessageType::watch_listener, std::string(sizeof(ListenerMessage), '\0'), fds);
        peer.send(MessageType::handover_give, successor, fds);
        if (!run_until(peer.loop, [&] { return !peer.side.messages.empty(); })) return 2;
        return cut.lost == 1 && peer.side.messages.front().fds == 1 ? 0 : 3;
    });
}

TEST_CASE(
    "channel: what is tried is sent at once or not at all, and the room handler says when to try again") {
    RawPeer peer;
    Channel& channel = *peer.side.channel;
    struct {
        int calls = 0;
        void operator()() { ++calls; }
    } room;
    channel.set_room_handler(Callback<void()>::of(&room));
    const std::size_t before = count_open_fds();
    const int fds[] = {2};
    int sent = 0;
    while (channel.try_send(MessageType::image, GenerationMessage{}, fds) == Channel::TrySend::sent)
        REQUIRE(++sent < 100'000);
    CHECK(channel.try_send(MessageType::serve, GenerationMessage{}) == Channel::TrySend::wait);
    CHECK(count_open_fds() == before);
    peer.loop.run_once(0ms);
    CHECK(room.calls == 0);
    std::vector<std::byte> buffer(sizeof(MessageHeader) + max_message_payload);
    int received = 0;
    while (receive_packet(peer.raw, buffer).result == PacketReceived::received)
        ++received;
    CHECK(received == sent + 1);  // and the hello
    REQUIRE(run_until(peer.loop, [&] { return room.calls == 1; }));
    CHECK(channel.try_send(MessageType::serve, GenerationMessage{}) == Channel::TrySend::sent);

    // Behind what is queued it waits, and is told when that has left.
    while (channel.send_text(MessageType::failed, std::string(30'000, 'x')) && channel.flush(0ms)) {
    }
    CHECK(channel.try_send(MessageType::serve, GenerationMessage{}) == Channel::TrySend::wait);
    REQUIRE(run_until(peer.loop, [&] {
        while (receive_packet(peer.raw, buffer).result == PacketReceived::received) {
        }
        return room.calls == 2;
    }));
    CHECK(channel.flush(0ms));
    peer.ends.second.reset();
    CHECK(channel.try_send(MessageType::serve, GenerationMessage{}) == Channel::TrySend::closed);
    CHECK_FALSE(channel.peer_gone());
    CHECK(peer.reason() == "end of file");
    CHECK(channel.peer_gone());
}

TEST_CASE("channel: without a descriptor for a duplicate a message is not queued, and the channel goes on") {
    in_child([] {
        RawPeer peer;
        peer.hello();
        peer.loop.run_once(0ms);
        Channel& channel = *peer.side.channel;
        const std::string text(30'000, 'x');
        while (channel.flush(0ms))
            if (!channel.send_text(MessageType::failed, text)) return 1;
        const std::size_t used = count_open_fds();
        const rlimit limit{.rlim_cur = used, .rlim_max = 4096};
        if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 2;
        const int fds[] = {2};
        if (channel.send(MessageType::image, GenerationMessage{}, fds) || channel.closing()) return 3;
        if (!channel.send(MessageType::serve, GenerationMessage{})) return 4;
        const rlimit more{.rlim_cur = used + 10, .rlim_max = 4096};
        if (::setrlimit(RLIMIT_NOFILE, &more) != 0) return 5;
        if (!channel.send(MessageType::image, GenerationMessage{}, fds)) return 6;
        std::vector<std::byte> buffer(sizeof(MessageHeader) + max_message_payload);
        std::vector<MessageType> last(2);
        const bool empty = run_until(peer.loop, [&] {
            while (receive_packet(peer.raw, buffer).result == PacketReceived::received) {
                MessageHeader header;
                std::memcpy(&header, buffer.data(), sizeof header);
                last = {last[1], MessageType{header.type}};
            }
            return channel.flush(0ms) && last[1] == MessageType::image;
        });
        return empty && last[0] == MessageType::serve ? 0 : 7;
    });
}

TEST_CASE("channel: a peer that does not read costs a bounded queue, then the channel") {
    RawPeer peer;
    const std::size_t before = count_open_fds();
    Channel& channel = *peer.side.channel;
    const int fds[] = {2};
    int sent = 0;
    while (channel.send(MessageType::log_file, {}, fds)) {
        REQUIRE(++sent < 100'000);
    }
    CHECK(sent > 1024);
    CHECK(channel.open());
    CHECK_FALSE(peer.side.closed);
    CHECK_FALSE(channel.send(MessageType::log_file, {}, fds));
    CHECK(count_open_fds() == before);
    CHECK_FALSE(channel.flush(10s));
    CHECK(contains(peer.reason(), "queue is full"));
    CHECK_FALSE(channel.send(MessageType::log_file, {}, fds));
}

TEST_CASE("channel: large messages are bounded by their bytes") {
    RawPeer peer;
    const std::string text(max_message_payload, 'x');
    int sent = 0;
    while (peer.side.channel->send_text(MessageType::failed, text)) {
        REQUIRE(++sent < 1000);
    }
    CHECK(sent >= 31);
    CHECK(sent < 200);
    CHECK(contains(peer.reason(), "queue is full"));
}

TEST_CASE("channel: what was queued arrives in order, with its descriptors, once the peer reads") {
    const std::size_t before = count_open_fds();
    {
        EventLoop loop;
        auto [left_end, right_end] = Channel::make_pair();
        Side left(loop, std::move(left_end));
        const UniqueFd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        const int fds[] = {fd.get()};
        const std::size_t count = 900;
        for (std::size_t i = 0; i < count; ++i) {
            if (i % 2 == 0) {
                REQUIRE(
                    left.channel->send_text(MessageType::failed, std::to_string(i) + std::string(1000, '.')));
            } else {
                REQUIRE(left.channel->send(MessageType::image, GenerationMessage{.generation = i}, fds));
            }
        }
        CHECK(count_open_fds() > before + 20);  // copies wait in the queue
        Side right(loop, std::move(right_end));
        int wrong = 0;
        right.on_message = [&](Message& message) {
            const std::size_t i = right.messages.size() - 1;
            if (i % 2 == 0) {
                if (!message.text().starts_with(std::to_string(i) + ".")) ++wrong;
            } else {
                if (message.as<GenerationMessage>().generation != i || message.fds.size() != 1) ++wrong;
            }
        };
        REQUIRE(run_until(loop, [&] { return right.messages.size() == count; }));
        CHECK(wrong == 0);
        CHECK(left.channel->flush(0ms));
        CHECK(left.channel->send_text(MessageType::failed, "direct again"));
        REQUIRE(run_until(loop, [&] { return right.messages.size() == count + 1; }));
    }
    CHECK(count_open_fds() == before);
}

TEST_CASE("channel: a message never overtakes the queue, and a queue that drains has its room back") {
    RawPeer peer;
    Channel& channel = *peer.side.channel;
    std::vector<std::byte> buffer(sizeof(MessageHeader) + max_message_payload);
    REQUIRE(receive_packet(peer.raw, buffer).result == PacketReceived::received);  // its hello
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
    int out_of_order = 0;
    const auto send_one = [&] {
        std::string text(20'000, ' ');
        text.replace(0, 10, std::to_string(1'000'000'000 + sent++));
        REQUIRE(channel.send_text(MessageType::failed, text));
    };
    const auto receive_one = [&] {
        if (receive_packet(peer.raw, buffer).result != PacketReceived::received) return false;
        const std::string expected = std::to_string(1'000'000'000 + received++);
        if (std::memcmp(buffer.data() + sizeof(MessageHeader), expected.data(), 10) != 0) ++out_of_order;
        return true;
    };
    // 40 messages overfill the socket and stay below the queue's bound; four times that would not, if nothing
    // was given back.
    for (int round = 0; round < 4; ++round) {
        for (int i = 0; i < 40; ++i)
            send_one();
        REQUIRE(receive_one());
        send_one();  // the socket has room now, and others wait already
        REQUIRE(run_until(peer.loop, [&] {
            while (receive_one()) {
            }
            return received == sent;
        }));
    }
    CHECK(out_of_order == 0);
    CHECK(channel.open());
}

TEST_CASE("channel: too many descriptors in flight wait for the peer") {
    // Only an unprivileged sender is limited, over all processes of its user (unix(7), ETOOMANYREFS): hence a
    // user of our own where that can be had, and a limit that leaves room for what others have in flight.
    in_child([] {
        if (::getuid() == 0 &&
            (::setgroups(0, nullptr) != 0 || ::setuid(static_cast<uid_t>(20'000 + ::getpid() % 40'000)) != 0))
            return 1;
        const rlimit limit{.rlim_cur = 200, .rlim_max = 200};
        if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 2;
        constexpr std::size_t count = 215;
        EventLoop loop;
        auto [left_end, right_end] = Channel::make_pair();
        Side left(loop, std::move(left_end));
        const int fds[] = {2};
        const std::size_t before = count_open_fds();
        for (std::uint64_t i = 0; i < count; ++i) {
            if (!left.channel->send(MessageType::image, GenerationMessage{.generation = i}, fds)) return 3;
        }
        if (count_open_fds() < before + 10) return 4;  // nothing had to wait: the limit did not bite
        if (left.channel->flush(30ms)) return 5;
        Side right(loop, std::move(right_end));
        std::vector<std::uint64_t> order;
        right.on_message = [&](Message& message) {
            order.push_back(message.as<GenerationMessage>().generation);
        };
        if (!run_until(loop, [&] { return order.size() == count; })) return 6;
        if (!std::ranges::is_sorted(order)) return 7;
        return left.channel->open() ? 0 : 8;
    });
}

TEST_CASE("channel: flush waits for a peer that reads") {
    auto [left_end, right_end] = Channel::make_pair();
    const int keep[] = {right_end.get()};
    constexpr int count = 800;
    const Process reader = spawn({.loop = nullptr, .keep_fds = keep}, [&keep] {
        EventLoop loop;
        Side side(loop, UniqueFd(keep[0]));
        if (!run_until(loop, [&] { return side.closed.has_value(); })) return 1;
        return side.messages.size() == count ? 0 : 2;
    });
    right_end.reset();
    EventLoop loop;
    {
        Side side(loop, std::move(left_end));
        for (int i = 0; i < count; ++i) {
            REQUIRE(side.channel->send_text(MessageType::failed, std::string(1000, 'x')));
        }
        CHECK(side.channel->flush(20s));
    }
    int status = -1;
    REQUIRE(::waitpid(reader.pid(), &status, 0) == reader.pid());
    CHECK(status == 0);
}

TEST_CASE("channel: flush gives up at its deadline or when the peer goes") {
    RawPeer peer;
    for (int i = 0; i < 800; ++i)
        REQUIRE(peer.side.channel->send_text(MessageType::failed, std::string(1000, 'x')));
    CHECK_FALSE(peer.side.channel->flush(5ms));
    CHECK(peer.side.channel->open());
    peer.ends.second.reset();
    CHECK_FALSE(peer.side.channel->flush(20s));
    CHECK_FALSE(peer.side.closed);
    CHECK(contains(peer.reason(), "end of file"));
}

TEST_CASE("channel: the end of the peer is reported after its last words") {
    RawPeer peer;
    peer.hello();
    for (int i = 0; i < 100; ++i)
        peer.send(MessageType::failed, "cannot bind");
    peer.ends.second.reset();
    // The peer is known to be gone before its words were read: they are heard all the same, and from the
    // loop.
    CHECK_FALSE(peer.side.channel->send_text(MessageType::failed, "anyone?"));
    CHECK_FALSE(peer.side.closed);
    CHECK(peer.reason() == "end of file");
    REQUIRE(peer.side.messages.size() == 100);
    CHECK(peer.side.messages[99].payload == "cannot bind");
}

TEST_CASE("channel: a peer that stops reading for good is closed even though it stays") {
    RawPeer peer;
    peer.hello();
    REQUIRE(::shutdown(peer.raw, SHUT_RD) == 0);
    CHECK_FALSE(peer.side.channel->send_text(MessageType::failed, "anyone?"));
    CHECK(contains(peer.reason(), "sending failed: Broken pipe"));
}

TEST_CASE("channel: may be destroyed by either handler") {
    const std::size_t before = count_open_fds();
    {
        RawPeer peer;
        peer.side.on_message = [&](Message&) { peer.side.channel.reset(); };
        peer.hello();
        peer.send(MessageType::failed, "first");
        peer.send(MessageType::failed, "never seen");
        REQUIRE(run_until(peer.loop, [&] { return !peer.side.channel.has_value(); }));
        peer.loop.run_once(0ms);
        CHECK(peer.side.messages.size() == 1);
    }
    struct Holder {
        std::unique_ptr<Channel> channel;
        void closed(std::string_view reason) {
            channel.reset();
            CHECK(reason == "end of file");
        }
    };
    for (const bool from_send : {false, true}) {
        EventLoop loop;
        auto [here, there] = Channel::make_pair();
        Holder holder;
        holder.channel = std::make_unique<Channel>(loop, std::move(here), Channel::MessageHandler(),
                                                   Channel::ClosedHandler::to<&Holder::closed>(&holder));
        there.reset();
        if (from_send) CHECK_FALSE(holder.channel->send_text(MessageType::failed, "anyone?"));
        REQUIRE(run_until(loop, [&] { return holder.channel == nullptr; }));
    }
    CHECK(count_open_fds() == before);
}

TEST_CASE("channel: what is pending can be asked for outside of the loop, and from inside of a handler") {
    RawPeer peer;
    peer.hello();
    for (int i = 0; i < 100; ++i)
        peer.send(MessageType::failed, "x");
    peer.side.channel->receive_pending();
    CHECK(peer.side.messages.size() == 100);
    CHECK(peer.side.channel->open());

    for (int i = 0; i < 3; ++i)
        peer.send(MessageType::failed, "y");
    peer.side.on_message = [&](Message&) {
        if (peer.side.messages.size() == 103) peer.side.channel.reset();
        if (peer.side.channel) peer.side.channel->receive_pending();
    };
    peer.side.channel->receive_pending();
    CHECK(peer.side.messages.size() == 103);
    CHECK_FALSE(peer.side.channel.has_value());
}

TEST_CASE("channel: an exception out of a handler comes out of the loop and the channel goes on") {
    RawPeer peer;
    peer.side.on_message = [](Message&) { throw std::runtime_error("from a message handler"); };
    peer.hello();
    const int fds[] = {2};
    peer.send(MessageType::log_file, "", fds);
    peer.send(MessageType::failed, "second");
    const std::size_t before = count_open_fds();
    CHECK_THROWS_WITH(run_until(peer.loop, [] { return false; }), "from a message handler");
    CHECK(count_open_fds() == before);
    peer.side.on_message = nullptr;
    REQUIRE(run_until(peer.loop, [&] { return peer.side.messages.size() == 2; }));
}

TEST_CASE("channel: a talkative peer leaves the loop to others") {
    RawPeer peer;
    peer.hello();
    for (int i = 0; i < 100; ++i)
        peer.send(MessageType::failed, "x");
    peer.loop.run_once(0ms);
    CHECK(peer.side.messages.size() > 0);
    CHECK(peer.side.messages.size() < 50);
    REQUIRE(run_until(peer.loop, [&] { return peer.side.messages.size() == 100; }));
}
