#include "worker/assignment.h"

#include "core/net/listener.h"
#include "tests/worker/scripted_module.h"
#include "worker/module/module_host.h"

#include <span>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <fcntl.h>

using namespace drover;
using namespace drover::test;

namespace {

// What a worker is given, and its master's end of the channel. Each generation has the fixture's image.
struct Given {
    Script script;
    ScriptedWorker worker{script};
    ModuleHost modules{scripted_modules, {"scripted"}};
    Listener listener = Listener::bind(Address::parse("127.0.0.1:0"), {.balance = Balance::shared}, 1);
    std::pair<UniqueFd, UniqueFd> ends = Channel::make_pair();
    std::vector<std::string> heard;
    Channel master{worker.services().loop, std::move(ends.first),
                   Channel::MessageHandler::to<&Given::hear>(this), Channel::ClosedHandler()};
    Channel channel{worker.services().loop, std::move(ends.second),
                    Channel::MessageHandler::to<&Given::hear>(this), Channel::ClosedHandler()};
    Intake intake{worker.services().loop, worker.services().log, worker.services().connections, {}};
    Assignment assignment{worker.services().loop, worker.services().log, channel, intake, "main"};

    void hear(Message& message) {
        const bool text = message.type == MessageType::not_prepared;
        const char* const word = message.type == MessageType::prepared ? "prepared " : "committed ";
        heard.push_back(text ? std::string(message.text())
                             : word + std::to_string(message.as<GenerationMessage>().generation));
    }
    template <class T>
    static Message message(const T& payload, UniqueFd fd) {
        Message message;
        message.payload = std::as_bytes(std::span(&payload, 1));
        message.fds.push_back(std::move(fd));
        return message;
    }
    void give(std::uint64_t generation, bool with_listener = true) {
        UniqueFd memory = create_image_memory();
        publish_image(worker.services().configuration->image().bytes(), memory.get());
        const GenerationMessage number{generation};
        Message image = message(number, std::move(memory));
        assignment.take_image(image);
        if (with_listener) give_listener(0);
    }
    void give_listener(std::uint32_t index) {
        const ListenerMessage number{index, 0};
        Message socket = message(number, UniqueFd(::fcntl(listener.socket_for(0), F_DUPFD_CLOEXEC, 0)));
        assignment.take_listener(socket);
    }
    void start() {
        give(1);
        modules.start(worker.services(), ImageNode());
        intake.set_up(modules, worker.services().counters, assignment.configuration(),
                      assignment.take_listeners());
        assignment.begin(worker.services(), modules);
    }
    std::uint64_t serving() const { return assignment.configuration()->generation(); }
    std::vector<std::string> said() {
        worker.settle();
        return std::exchange(heard, {});
    }
};

}  // namespace

TEST_CASE("the first image is what a worker starts with, the next ones wait to be committed") {
    Given given;
    CHECK(given.assignment.configuration() == nullptr);
    given.start();
    CHECK(given.serving() == 1);
    given.give(2);
    given.assignment.prepare();
    CHECK(given.said() == std::vector<std::string>{"prepared 2"});
    CHECK(given.serving() == 1);
    CHECK(given.assignment.commit());
    CHECK(given.serving() == 2);
    CHECK(given.worker.services().configuration->generation() == 2);
    given.assignment.say_committed();
    given.assignment.say_committed();
    CHECK(given.said() == std::vector<std::string>{"committed 2"});
    CHECK_FALSE(given.assignment.commit());
}

TEST_CASE("a generation that is abandoned or refused leaves everything as it was") {
    Given given;
    given.start();
    given.assignment.abandon();
    given.give(2);
    given.assignment.prepare();
    given.assignment.abandon();
    CHECK(given.said() == std::vector<std::string>{"prepared 2"});
    CHECK_FALSE(given.assignment.commit());
    given.give(3, false);
    given.assignment.prepare();
    CHECK(given.said() == std::vector<std::string>{"3 a listener is missing"});
    given.assignment.say_committed();
    CHECK(given.said().empty());
    CHECK(given.serving() == 1);
}

TEST_CASE("another image takes the place of one that is prepared") {
    Given given;
    given.start();
    given.give(2);
    given.assignment.prepare();
    given.give(3);
    given.assignment.prepare();
    CHECK(given.assignment.commit());
    CHECK(given.serving() == 3);
}

TEST_CASE("listeners come in order, and no hot reload is built on what was lost") {
    Given given;
    CHECK_THROWS(given.give_listener(1));
    given.start();
    given.give(2);
    CHECK_FALSE(given.assignment.short_of_descriptors());
    given.assignment.note_loss();
    CHECK(given.assignment.short_of_descriptors());
    given.assignment.prepare();
    CHECK_FALSE(given.assignment.commit());
    CHECK(given.said().empty());
}
