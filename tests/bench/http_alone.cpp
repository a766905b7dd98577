// The http module without a master, for tools that cannot follow one: http_alone PORT answers "/" with 13
// bytes on 127.0.0.1 until it is killed.
#include "modules/all_modules.h"
#include "tests/support/worker_fixture.h"

#include <cstdio>
#include <cstdlib>

namespace {

using namespace drover;

const std::string routes = R"([[module.http.route]]
path = "/"
return = { type = "text/plain", body = "Hello, world\n" }
)";

class Server : test::WorkerFixture {
  public:
    explicit Server(std::uint16_t port)
        : WorkerFixture(all_modules(), "http", routes), listener_(listen_on(port)) {
        watch_.start(services().loop, listener_.get(), Interest::read,
                     FdWatch::Handler::to<&Server::accept>(this));
    }
    void run() { services().loop.run(); }

  private:
    static UniqueFd listen_on(std::uint16_t port) {
        UniqueFd listener(
            check_call(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket"));
        const int on = 1;
        check_call(::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "setsockopt");
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        check_call(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
                   "bind");
        check_call(::listen(listener.get(), SOMAXCONN), "listen");
        return listener;
    }
    void accept(Readiness) {
        UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (client) module()->connection({std::move(client), 0});
    }

    UniqueFd listener_;
    FdWatch watch_;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fputs("usage: http_alone PORT\n", stderr);
        return 2;
    }
    Server(static_cast<std::uint16_t>(std::atoi(argv[1]))).run();
}
