// TERM, INT and QUIT: what each does to a connection that is busy.
#include "tests/support/master_under_test.h"

#include <algorithm>

#include <doctest/doctest.h>

namespace drover::test {
namespace {

// A connection whose next request has been read in part by its worker: it is in the middle of something.
HttpClient busy_client(MasterUnderTest& master) {
    HttpClient client(master.http_port());
    client.stream().send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\nHo");
    CHECK(client.read_reply().status == 200);
    return client;
}

void finish_request(HttpClient& client) {
    client.stream().send("st: localhost\r\n\r\n");
    const HttpReply reply = client.read_reply();
    CHECK(reply.status == 200);
    CHECK(reply.body == "first");
    CHECK_FALSE(reply.keeps_alive());
    CHECK(client.stream().ended());
}

void wait_draining(MasterUnderTest& master) {
    master.wait_until("a draining worker", [&] {
        const StatusView view = master.status();
        if (view.state != "stopping") return false;
        return std::any_of(view.workers.begin(), view.workers.end(),
                           [](const WorkerView& worker) { return worker.state == "draining"; });
    });
}

}  // namespace

TEST_CASE("TERM ends an idle master, and idle keep-alive connections in order") {
    MasterUnderTest master;
    HttpClient idle(master.http_port());
    CHECK(idle.get().keeps_alive());
    master.signal(SIGTERM);
    CHECK(idle.stream().ended());
    master.wait_exit();
    master.verify_clean();
}

TEST_CASE("QUIT waits for a busy connection and takes no new one") {
    MasterUnderTest master;
    HttpClient busy = busy_client(master);
    master.signal(SIGQUIT);
    wait_draining(master);
    CHECK_THROWS(http_get(master.http_port()));
    CHECK(busy.stream().quiet());
    CHECK(master.running());
    finish_request(busy);
    master.wait_exit();
    master.verify_clean();
}

TEST_CASE("TERM waits for a busy connection too") {
    MasterUnderTest master;
    HttpClient busy = busy_client(master);
    master.signal(SIGTERM);
    wait_draining(master);
    CHECK(master.running());
    finish_request(busy);
    master.wait_exit();
    master.verify_clean();
}

TEST_CASE("TERM does not wait for longer than drain_timeout") {
    MasterUnderTest master({.drain_timeout = "200ms"});
    HttpClient busy = busy_client(master);
    master.signal(SIGTERM);
    master.wait_exit();
    master.verify_clean();
}

TEST_CASE("QUIT has no deadline: drain_timeout does not end it, INT does") {
    MasterUnderTest master({.drain_timeout = "100ms"});
    HttpClient busy = busy_client(master);
    master.signal(SIGQUIT);
    wait_draining(master);
    CHECK(busy.stream().quiet(std::chrono::milliseconds(500)));
    CHECK(master.running());
    master.signal(SIGINT);
    master.wait_exit();
    master.verify_clean();
}

TEST_CASE("INT stops at once, busy connections or not") {
    MasterUnderTest master;
    HttpClient busy = busy_client(master);
    master.signal(SIGINT);
    master.wait_exit();
    master.verify_clean();
}

TEST_CASE("a second TERM forces the end") {
    MasterUnderTest master;
    HttpClient busy = busy_client(master);
    master.signal(SIGTERM);
    wait_draining(master);
    master.signal(SIGTERM);
    master.wait_exit();
    master.verify_clean();
}

TEST_CASE("INT after QUIT forces the end") {
    MasterUnderTest master;
    HttpClient busy = busy_client(master);
    master.signal(SIGQUIT);
    wait_draining(master);
    master.signal(SIGINT);
    master.wait_exit();
    master.verify_clean();
}

TEST_CASE("TERM after QUIT brings the deadline") {
    MasterUnderTest master({.drain_timeout = "200ms"});
    HttpClient busy = busy_client(master);
    master.signal(SIGQUIT);
    wait_draining(master);
    master.signal(SIGTERM);
    master.wait_exit();
    master.verify_clean();
}

TEST_CASE("a stop under load answers every connection that it accepted") {
    MasterUnderTest master;
    std::vector<HttpClient> clients;
    for (int i = 0; i < 100; ++i) {
        clients.emplace_back(master.http_port());
        clients.back().stream().send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    }
    master.signal(SIGTERM);
    for (HttpClient& client : clients)
        CHECK(client.read_reply().body == "first");
    master.wait_exit();
    master.verify_clean();
}

TEST_CASE("a worker that is stopped (SIGSTOP) does not keep INT from ending") {
    MasterUnderTest master;
    for (const pid_t worker : master.worker_pids())
        kill(worker, SIGSTOP);
    master.signal(SIGINT);
    master.wait_exit(Deadline(std::chrono::seconds(20)));
    master.verify_clean();
}

}  // namespace drover::test
