// http_hello answers requests in C++: /hello?NAME at once, /countdown?N line by line from a timer.
#include <charconv>
#include <list>

#include <drover/cli.h>
#include <drover/event_loop.h>
#include <drover/http.h>

namespace {

namespace http = drover::http;

struct Hello final : http::RequestHandler {
    void handle(const http::Request& request, http::Response response) override {
        const std::string_view name = request.query();
        response.send(200, "text/plain", "Hello, " + std::string(name.empty() ? "you" : name) + "!\n");
    }
};

// Each countdown that is under way has its timer here, and leaves when it is done or its client is gone.
class Countdown final : public http::RequestHandler {
  public:
    void start(drover::Services& services) override { services_ = &services; }
    void stop() noexcept override { runs_.clear(); }

    void handle(const http::Request& request, http::Response response) override {
        const std::string_view query = request.query();
        unsigned from = 3;
        const auto [end, error] = std::from_chars(query.data(), query.data() + query.size(), from);
        if (!query.empty() && (error != std::errc() || end != query.data() + query.size() || from > max_from))
            return response.send_error(400);
        response.type("text/plain").begin();
        runs_.emplace_back(*this, std::move(response), from);
    }

  private:
    static constexpr unsigned max_from = 1000;

    struct Run {
        Run(Countdown& owner, http::Response given, unsigned from)
            : countdown(owner), response(std::move(given)), left(from) {
            timer.start_every(std::chrono::milliseconds(100));
        }
        void tick() {
            if (left > 0 && !response.client_gone()) return response.write(std::to_string(left--) + "\n");
            response.write("liftoff\n");  // harmless when nobody is there
            response.end();
            countdown.runs_.remove_if([this](const Run& run) { return &run == this; });
        }
        Countdown& countdown;
        http::Response response;
        unsigned left;
        drover::Timer timer{countdown.services_->loop, drover::Timer::Handler::to<&Run::tick>(this)};
    };

    drover::Services* services_ = nullptr;
    std::list<Run> runs_;
};

struct HelloHttp final : http::HttpModule {
    void add_handlers(http::HandlerTable& handlers) const override {
        handlers.add<Hello>("hello");
        handlers.add<Countdown>("countdown");
    }
};

}  // namespace

int main(int argc, char** argv) {
    constexpr drover::ModuleFactory modules[] = {drover::make_module<HelloHttp>};
    return drover::run_command_line(argc, argv, modules, "1.4");
}
