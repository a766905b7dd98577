#include "tests/support/http_load.h"

#include "tests/support/http_client.h"

#include <exception>

namespace drover::test {

HttpLoad::HttpLoad(std::uint16_t port, unsigned threads) {
    for (unsigned i = 0; i < threads; ++i)
        threads_.emplace_back([this, port] { ask(port); });
}

HttpLoad::~HttpLoad() {
    stop();
}

void HttpLoad::stop() {
    stopping_ = true;
    for (std::thread& thread : threads_) {
        if (thread.joinable()) thread.join();
    }
}

std::string HttpLoad::first_failure() const {
    const std::lock_guard lock(mutex_);
    return first_failure_;
}

void HttpLoad::ask(std::uint16_t port) {
    while (!stopping_) {
        try {
            if (http_get(port).status != 200) throw std::runtime_error("status is not 200");
            ++replies_;
        } catch (const std::exception& error) {
            if (failures_++ > 0) continue;
            const std::lock_guard lock(mutex_);
            first_failure_ = error.what();
        }
    }
}

}  // namespace drover::test
