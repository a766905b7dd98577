#include "modules/observer/live_feed.h"

#include "core/protocol/channel.h"
#include "modules/http/http.h"
#include "tests/support/worker_fixture.h"

#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace drover;
using namespace drover::test;
using observer::LiveFeed;

namespace {

// Where requests for /live go; set by the fixture.
LiveFeed* feed_under_test = nullptr;

struct LiveHandler final : http::RequestHandler {
    void handle(const http::Request& request, http::Response response) override {
        if (feed_under_test->full()) return response.send(503, "text/plain", "full\n");
        feed_under_test->add(std::move(response), request.header("last-event-id"));
    }
};
struct LiveHttp final : http::HttpModule {
    void add_handlers(http::HandlerTable& handlers) const override { handlers.add<LiveHandler>("live"); }
};

// A feed in a worker, and the master's end of its channel, which says nothing by itself.
struct FeedFixture {
    FeedFixture() {
        auto [ours, theirs] = Channel::make_pair();
        channel = std::make_unique<Channel>(worker.services().loop, std::move(ours),
                                            Channel::MessageHandler(), Channel::ClosedHandler());
        master = std::move(theirs);
        view = std::make_unique<MasterView>(worker.services().loop, *channel,
                                            CounterReader(worker.table().read_only_fd()));
        worker.services().master = view.get();
        feed = std::make_unique<LiveFeed>(worker.services(), 2);
        feed_under_test = feed.get();
    }
    void tell(std::uint64_t number, const std::string& json) {
        const EventsMessage head{number};
        std::string bytes(reinterpret_cast<const char*>(&head), sizeof(head));
        bytes += json + "\n";
        Message message;
        message.type = MessageType::events;
        message.payload = std::as_bytes(std::span(bytes));
        view->take_events(message);
    }

    static constexpr ModuleFactory modules[] = {make_module<LiveHttp>};
    WorkerFixture worker{modules, "http", "[[module.http.route]]\npath = \"/live\"\nhandler = \"live\"\n"};
    std::unique_ptr<Channel> channel;
    UniqueFd master;
    std::unique_ptr<MasterView> view;
    std::unique_ptr<LiveFeed> feed;
};

const std::string request = "GET /live HTTP/1.1\r\nHost: a\r\n\r\n";

std::size_t count_of(const std::string& text, std::string_view part) {
    std::size_t count = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
        ++count;
    return count;
}

// The first message, without the events.
std::string message_in(const std::string& text) {
    const std::size_t begin = text.find("data: {\"time_ms\":");
    const std::size_t end = text.find("\n\n", begin);
    return end == std::string::npos ? "" : text.substr(begin, end - begin);
}

}  // namespace

TEST_CASE("a dashboard is told what is kept, then what happens, then the end") {
    FeedFixture fixture;
    fixture.tell(7, "{old}");
    FixtureClient client(fixture.worker);
    CHECK(client.send(request));
    CHECK(client.read_until(
        [&] { return client.received().find("id: 0-7\ndata: {old}\n\n") != std::string::npos; }));
    fixture.tell(8, "{new}");
    CHECK(client.read_until(
        [&] { return client.received().find("id: 0-8\ndata: {new}\n\n") != std::string::npos; }));
    // The master does not answer, and is waited for so long and no longer.
    CHECK(
        client.read_until([&] { return client.received().find("\"answers\":false") != std::string::npos; }));
    CHECK(client.received().find("\r\nContent-Type: text/event-stream\r\n") != std::string::npos);
    fixture.feed->end();
    CHECK(client.read_until([&] { return client.received().ends_with("0\r\n\r\n"); }));
    CHECK_FALSE(fixture.feed->full());
}

TEST_CASE("a dashboard that comes again is told what it has missed, and all of what another master did") {
    FeedFixture fixture;
    fixture.tell(7, "{old}");
    fixture.tell(8, "{new}");
    const auto told = [&](const std::string& id) {
        FixtureClient client(fixture.worker);
        CHECK(client.send("GET /live HTTP/1.1\r\nHost: a\r\nLast-Event-ID: " + id + "\r\n\r\n"));
        CHECK(client.read_until([&] { return client.received().find("{new}") != std::string::npos; }));
        const bool old = client.received().find("{old}") != std::string::npos;
        client.close();
        CHECK(fixture.worker.run_until([&] { return !fixture.feed->full(); }));
        return old;
    };
    CHECK_FALSE(told("0-7"));
    CHECK(told("1234-7"));
    CHECK(told("junk"));
}

TEST_CASE("one that does not read costs a bounded amount, and has the newest events when it reads") {
    FeedFixture fixture;
    FixtureClient client(fixture.worker);
    CHECK(client.send(request));
    CHECK(client.read_until([&] { return client.received().find("retry: ") != std::string::npos; }));
    constexpr std::uint64_t count = 5000;
    const std::string text(8000, 'x');
    for (std::uint64_t number = 1; number <= count; ++number) {
        fixture.tell(number, "{" + text + "}");
        if (number % 100 == 0) fixture.worker.settle();
    }
    const std::string last = "id: 0-" + std::to_string(count) + "\n";
    // What waits is sent when there is something new to send.
    std::uint64_t more = count;
    CHECK(client.read_until([&] {
        if (client.received().find(last) == std::string::npos) fixture.tell(++more, "{}");
        return client.received().find(last) != std::string::npos;
    }));
    CHECK(client.received().size() < count * text.size() / 2);
}

TEST_CASE("so many and no more") {
    FeedFixture fixture;
    FixtureClient first(fixture.worker);
    FixtureClient second(fixture.worker);
    CHECK(first.send(request));
    CHECK(first.read_until([&] { return !first.received().empty(); }));
    CHECK_FALSE(fixture.feed->full());
    CHECK(second.send(request));
    CHECK(second.read_until([&] { return !second.received().empty(); }));
    CHECK(fixture.feed->full());
    // Who has left makes room, at the latest with the next message.
    second.close();
    CHECK(fixture.worker.run_until([&] { return !fixture.feed->full(); }));
}

TEST_CASE("requests pipelined behind /live are answered in the middle of the end, and end too") {
    FeedFixture fixture;
    FixtureClient first(fixture.worker);
    FixtureClient second(fixture.worker);
    for (FixtureClient* const client : {&first, &second}) {
        CHECK(client->send(request + request + request));
        CHECK(client->read_until([&] { return count_of(client->received(), "retry: ") == 1; }));
    }
    fixture.feed->end();
    for (FixtureClient* const client : {&first, &second}) {
        CHECK(client->read_until([&] { return count_of(client->received(), "\r\n0\r\n\r\n") == 3; }));
        CHECK(count_of(client->received(), "HTTP/1.1 200") == 3);
    }
    CHECK_FALSE(fixture.feed->full());
}

TEST_CASE("clients that have pipelined and left make room") {
    FeedFixture fixture;
    {
        FixtureClient first(fixture.worker);
        FixtureClient second(fixture.worker);
        for (FixtureClient* const client : {&first, &second}) {
            CHECK(client->send(request + request + request));
            CHECK(client->read_until([&] { return !client->received().empty(); }));
        }
        CHECK(fixture.feed->full());
    }
    CHECK(fixture.worker.run_until([&] { return !fixture.feed->full(); }));
    CHECK(fixture.worker.run_until([&] { return fixture.worker.connection_count() == 0; }));
}

TEST_CASE("what the last dashboard was told when it left is no news to the next ones") {
    FeedFixture fixture;
    const auto told = [](FixtureClient& client) {
        CHECK(client.read_until([&] { return !message_in(client.received()).empty(); }));
        return message_in(client.received());
    };
    std::string old;
    {
        FixtureClient client(fixture.worker);
        CHECK(client.send(request));
        old = told(client);
    }
    // By then the feed has looked, found nobody, and gone to sleep.
    bool slept = false;
    auto wake = [&slept] { slept = true; };
    Timer timer(fixture.worker.services().loop, Timer::Handler::of(&wake));
    timer.start_once(2 * LiveFeed::interval);
    CHECK(fixture.worker.run_until([&] { return slept; }));
    FixtureClient first(fixture.worker);
    FixtureClient second(fixture.worker);
    CHECK(first.send(request));
    CHECK(first.read_until([&] { return !first.received().empty(); }));
    CHECK(second.send(request));
    CHECK(told(second) != old);
    CHECK(told(first) == told(second));
}
