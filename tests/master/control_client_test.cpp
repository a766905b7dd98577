#include "master/control_client.h"

#include "core/system_error.h"
#include "tests/master/scripted_master.h"

#include <chrono>
#include <cstring>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <vector>

#include <doctest/doctest.h>
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

}  // namespace

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
