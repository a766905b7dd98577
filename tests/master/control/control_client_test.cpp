#include "master/control/control_client.h"

#include "core/base/system_error.h"
#include "core/counters/counter_rows.h"
#include "tests/master/control/scripted_master.h"

#include <atomic>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

using namespace drover;

namespace {

ControlRequest request_of(const char* command, bool progress = false) {
    return {.command = command, .format = {}, .progress = progress};
}

// As a master that stands still: callers wait in its queue.
UniqueFd listen_at(const std::string& path, int backlog) {
    UniqueFd listening(check_call(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    check_call(::bind(listening.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
    check_call(::listen(listening.get(), backlog), "listen");
    return listening;
}

// Listens at a path, and gives one caller exactly these bytes.
class OneAnswer {
  public:
    OneAnswer(const std::string& path, std::string answer) : listening_(listen_at(path, 1)) {
        thread_ = std::thread([this, text = std::move(answer)] {
            const UniqueFd caller(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
            char request[256];
            if (::recv(caller.get(), request, sizeof request, 0) > 0)
                ::send(caller.get(), text.data(), text.size(), MSG_NOSIGNAL);
        });
    }
    ~OneAnswer() { thread_.join(); }

  private:
    UniqueFd listening_;
    std::thread thread_;
};

// A master that answers who asks for rows when somebody else asks for the status; in a thread of its own.
class HesitantMaster {
  public:
    explicit HesitantMaster(const std::string& path)
        : server_(loop_, log_, path, ControlServer::RequestHandler::to<&HesitantMaster::on_request>(this)),
          thread_([this] { loop_.run(); }) {}
    ~HesitantMaster() { thread_.join(); }  // after a stop

    unsigned asked_for_rows() const { return asked_for_rows_; }

  private:
    void on_request(ControlCaller caller, const ControlRequest& request) {
        if (request.command == "counter_rows") {
            ++asked_for_rows_;
            waiting_ = caller;
            return;
        }
        std::vector<UniqueFd> fds;
        if (request.command == "counters") fds.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        if (request.command == "status")
            server_.reply(waiting_, true, row_batch_text({.sequence = 7, .rows = {}}));
        server_.reply_with(caller, "fine", std::move(fds));
        if (request.command == "stop") loop_.stop();
    }

    EventLoop loop_;
    Log log_{{.role = "master", .pool = {}}};
    std::atomic<unsigned> asked_for_rows_ = 0;
    ControlCaller waiting_ = 0;
    ControlServer server_;
    std::thread thread_;
};

}  // namespace

TEST_CASE("a master that stands still is asked for rows once, and the answer taken when it comes") {
    test::TemporaryFolder folder;
    const std::string path = folder.file("control.sock");
    const HesitantMaster master(path);
    const CounterSource source = ask_for_counters(path);
    for (int look = 0; look < 3; ++look)
        CHECK_THROWS_WITH_AS((void)source.rows(0), "the master does not answer within 0.5 s",
                             std::runtime_error);
    CHECK(master.asked_for_rows() == 1);
    CHECK(ask_master(path, request_of("status"), {}).ok);
    CHECK(source.rows(0).sequence == 7);
    CHECK(master.asked_for_rows() == 1);
    CHECK(ask_master(path, request_of("stop"), {}).ok);
}

TEST_CASE("an answer, a refusal, and progress for those who ask") {
    const test::ScriptedMaster master;
    std::vector<std::string> progress;
    const auto collect = [&](std::string_view text) { progress.emplace_back(text); };

    const ControlAnswer reload = ask_master(master.path(), request_of("reload", true), collect);
    CHECK(reload.ok);
    CHECK(reload.text == "generation 2 serves");
    CHECK(progress == std::vector<std::string>{"worker 1 of 2", "worker 2 of 2"});
    progress.clear();
    CHECK(ask_master(master.path(), request_of("reload"), collect).ok);
    CHECK(progress.empty());

    const ControlAnswer reopen = ask_master(master.path(), request_of("reopen"), {});
    CHECK_FALSE(reopen.ok);
    CHECK(reopen.text == "log.txt: disk full");
}

TEST_CASE("where no master listens") {
    test::TemporaryFolder folder;
    CHECK_THROWS_AS(ask_master(folder.file("control.sock"), request_of("stop"), {}), std::system_error);
    CHECK_THROWS_AS(stop_master(folder.file("control.sock"), request_of("stop"), {}), std::system_error);
    CHECK_THROWS_AS(ask_master("", request_of("stop"), {}), std::system_error);
    CHECK_THROWS_AS(ask_master("/" + std::string(200, 'x'), request_of("stop"), {}), std::system_error);
}

TEST_CASE("a stop is over when the process is, promised or not") {
    for (const char* command : {"stop", "quit"}) {
        const test::ScriptedMaster master;
        const ControlAnswer answer = stop_master(master.path(), request_of(command), {});
        CHECK(answer.ok);
        CHECK(answer.text == "stopped");
        CHECK(master.gone());
    }
}

TEST_CASE("a refused stop is no stop") {
    test::TemporaryFolder folder;
    const OneAnswer master(folder.file("control.sock"), "{\"ok\":false,\"error\":\"too many callers\"}\n");
    const ControlAnswer answer = stop_master(folder.file("control.sock"), request_of("stop"), {});
    CHECK_FALSE(answer.ok);
    CHECK(answer.text == "too many callers");
}

TEST_CASE("a master that stands still does not hold up who asks for counters, its queue full or not") {
    test::TemporaryFolder folder;
    const std::string path = folder.file("control.sock");
    const UniqueFd listening = listen_at(path, 0);
    const auto failure = [&] {
        try {
            (void)ask_for_counters(path, std::chrono::milliseconds(50));
        } catch (const std::system_error& error) {
            return std::string("system_error: ") + error.what();
        } catch (const std::runtime_error& error) {
            return std::string(error.what());
        }
        return std::string("an answer");
    };
    CHECK(failure() == "the master does not answer within 0.05 s");
    // The first caller has gone and is still in the queue, which has room for one.
    CHECK(failure() == "the master does not answer within 0.05 s");
}

TEST_CASE("the silence of a master is told once, and ends a call when who is told wants it") {
    test::TemporaryFolder folder;
    const std::string path = folder.file("control.sock");
    const UniqueFd listening = listen_at(path, 0);
    unsigned told = 0;
    UniqueFd caller;
    SilenceNotice silence{.after = std::chrono::milliseconds(20), .tell = [&] {
                              ++told;
                              caller = UniqueFd(::accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC));
                              const std::string_view line = "{\"ok\":true,\"text\":\"at last\"}\n";
                              ::send(caller.get(), line.data(), line.size(), MSG_NOSIGNAL);
                          }};
    const ControlAnswer answer = ask_master(path, request_of("reopen"), {}, silence);
    CHECK(answer.text == "at last");
    CHECK(told == 1);
    const ControlAnswer events = ask_for_events(
        path, request_of("events"), [](std::string_view) { return true; }, 2, silence);
    CHECK(events.text == "at last");
    CHECK(told == 2);

    silence.tell = [] { throw std::runtime_error("silent"); };
    const auto ask = [&] { (void)ask_master(path, request_of("status"), {}, silence); };
    CHECK_THROWS_WITH_AS(ask(), "silent", std::runtime_error);
    // The first caller has gone and is still in the queue, which has room for one.
    CHECK_THROWS_WITH_AS(ask(), "silent", std::runtime_error);
}

TEST_CASE("a refusal to hand out counters is told in its words") {
    test::TemporaryFolder folder;
    const OneAnswer master(folder.file("control.sock"), "{\"ok\":false,\"error\":\"not you\"}\n");
    CHECK_THROWS_WITH_AS((void)ask_for_counters(folder.file("control.sock")), "not you", std::runtime_error);
}

TEST_CASE("a master that ends or babbles is a failure") {
    test::TemporaryFolder folder;
    const auto failure = [&](const char* name, const char* text) {
        const OneAnswer master(folder.file(name), text);
        const ControlAnswer answer = ask_master(folder.file(name), request_of("status"), {});
        CHECK_FALSE(answer.ok);
        return answer.text;
    };
    CHECK(failure("a", "") == "the master closed the connection without an answer");
    CHECK(failure("b", "{\"progress\":\"x\"}\n{\"ok\":true,\"text\":\"cut o").find("without an answer") !=
          std::string::npos);
    CHECK(failure("c", "hello\n").find("garbage") != std::string::npos);
}
