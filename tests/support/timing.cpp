#include "tests/support/timing.h"

#include "tests/support/deadline.h"
#include "tests/support/http_client.h"
#include "tests/support/temporary_folder.h"

#include <algorithm>
#include <filesystem>
#include <stdexcept>
#include <system_error>

#include <poll.h>

namespace drover::test {

double since_ms(BenchClock::time_point start) {
    return std::chrono::duration<double, std::milli>(BenchClock::now() - start).count();
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

// The short wait leaves the processor to the server.
void wait_answer(std::uint16_t port, const std::string& body) {
    const Deadline deadline(std::chrono::seconds(30));
    while (!deadline.passed()) {
        try {
            if (http_get(port).body == body) return;
        } catch (const std::exception&) {
            // Not there yet, or one that the server breaks.
        }
        const timespec pause{0, 100000};
        ppoll(nullptr, 0, &pause, nullptr);
    }
    throw std::runtime_error("no answer \"" + body + "\"");
}

void replace_file(const std::string& path, const std::string& text) {
    write_file(path + ".next", text);
    std::filesystem::rename(path + ".next", path);
}

}  // namespace drover::test
