// How many generations are alive at a time, and what keeps them so.
#include "tests/support/master_under_test.h"

#include <doctest/doctest.h>

namespace drover::test {
namespace {

TestConfig config(const std::string& body) {
    return {.body = body, .workers = 1, .drain_timeout = "20s", .master = "max_generations = 2\n"};
}

// A request whose body has not come: it keeps the worker, or the generation, that it began with.
class UnfinishedRequest {
  public:
    explicit UnfinishedRequest(std::uint16_t port) : client_(port) {
        client_.stream().send(
            "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
        client_.stream().read_until("100 Continue\r\n\r\n");
    }
    HttpReply finish() {
        client_.stream().send("done");
        return client_.read_reply();
    }

  private:
    HttpClient client_;
};

}  // namespace

TEST_CASE("a fresh reload that would make too many generations is refused, and works when one has gone") {
    MasterUnderTest master(config("first"));
    UnfinishedRequest first(master.http_port());
    master.write_config(config("second"));
    CHECK(master.cli({"reload", "--fresh"}).code() == 0);
    master.write_config(config("third"));
    const CommandResult refused = master.cli({"reload", "--fresh"});
    CHECK(refused.code() == 1);
    CHECK_MESSAGE(refused.errors.find("2 generations are alive, and master.max_generations is 2; draining: "
                                      "generation 1: 1 workers with 1 connections") != std::string::npos,
                  refused.errors);
    CHECK(master.get() == "second");
    CHECK(first.finish().status == 200);
    master.wait_until("the first generation to leave", [&] { return master.status().workers.size() == 1; });
    CHECK(master.cli({"reload", "--fresh"}).code() == 0);
    CHECK(master.get() == "third");
    master.finish();
}

TEST_CASE("requests of too many generations keep a worker from another hot reload") {
    MasterUnderTest master(config("first"));
    UnfinishedRequest first(master.http_port());
    master.write_config(config("second"));
    CHECK(master.cli({"reload"}).code() == 0);
    UnfinishedRequest second(master.http_port());
    master.write_config(config("third"));
    const CommandResult refused = master.cli({"reload"});
    CHECK(refused.code() == 1);
    CHECK_MESSAGE(refused.errors.find("requests that are under way still use") != std::string::npos,
                  refused.errors);
    CHECK(master.get() == "second");
    // Each is answered by the generation that it began with.
    CHECK(first.finish().body == "first");
    CHECK(second.finish().body == "second");
    CHECK(master.cli({"reload"}).code() == 0);
    CHECK(master.get() == "third");
    master.finish();
}

TEST_CASE("the log says how far those are that drain") {
    MasterUnderTest master(config("first"));
    UnfinishedRequest request(master.http_port());
    master.signal(SIGTERM);
    master.wait_output("draining: generation 1: 1 workers with 1 connections");
    CHECK(request.finish().status == 200);
    CHECK(master.wait_exit() == Exit{0, 0});
    master.verify_clean();
}

}  // namespace drover::test
