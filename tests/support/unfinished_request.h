// A request whose body has not come: it keeps the worker, or the generation, that it began with.
// Runs in: tests.
#pragma once

#include "tests/support/http_client.h"

#include <cstdint>

namespace drover::test {

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

}  // namespace drover::test
