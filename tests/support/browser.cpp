#include "tests/support/browser.h"

#include "tests/support/http_client.h"
#include "tests/support/proc.h"

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <stdexcept>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace drover::test {

namespace {

using nlohmann::json;

// A browser that starts while other tests run takes its time.
Deadline patience() {
    return Deadline(std::chrono::seconds(60));
}

std::string decode_base64(const std::string& text) {
    const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string bytes;
    std::uint32_t bits = 0;
    int count = 0;
    for (const char c : text) {
        const std::size_t digit = digits.find(c);
        if (digit == std::string::npos) break;
        bits = bits << 6 | static_cast<std::uint32_t>(digit);
        count += 6;
        if (count < 8) continue;
        count -= 8;
        bytes.push_back(static_cast<char>(bits >> count & 0xff));
    }
    return bytes;
}

}  // namespace

Browser::Browser() : others_(children_of(::getpid())) {
    const UniqueFd log(::open(folder_.file("driver.log").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    driver_ =
        Child::start({"chromedriver", "--port=" + std::to_string(port_.number())},
                     {.environment = {"HOME=" + folder_.path()}, .output = log.get(), .errors = log.get()});
    const UniqueFd end = open_pidfd(driver_.pid());
    const Deadline deadline = patience();
    while (!try_start_session()) {
        if (deadline.passed() || wait_gone(end, Deadline(std::chrono::milliseconds(20))))
            throw std::runtime_error("chromedriver does not start");
    }
}

Browser::~Browser() {
    try {
        if (!session_.empty()) call("DELETE", "/session/" + session_, {});
        driver_.signal(SIGTERM);
        driver_.wait_exit();
    } catch (const std::exception&) {
        // The child is killed when it goes.
    }
    // What Chromium leaves to its parent's end comes to a test that adopts, as a test of a master does; what
    // those processes leave comes then.
    for (bool found = true; found;) {
        found = false;
        for (const pid_t left : children_of(::getpid())) {
            if (left == driver_.pid() || std::ranges::find(others_, left) != others_.end()) continue;
            ::kill(left, SIGKILL);
            ::waitpid(left, nullptr, 0);
            found = true;
        }
    }
}

// False: it does not listen yet.
bool Browser::try_start_session() {
    const json arguments = {"--headless=new",
                            "--no-sandbox",
                            "--disable-gpu",
                            "--disable-quic",
                            "--disable-dev-shm-usage",
                            "--no-first-run",
                            "--disable-background-networking",
                            "--disable-component-update",
                            "--disable-default-apps",
                            "--disable-extensions",
                            "--disable-sync",
                            "--hide-scrollbars",
                            "--user-data-dir=" + folder_.file("profile")};
    const json capabilities = {{"browserName", "chrome"},
                               {"goog:chromeOptions", {{"args", arguments}}},
                               {"goog:loggingPrefs", {{"browser", "ALL"}}}};
    try {
        const json answer = call("POST", "/session", {{"capabilities", {{"alwaysMatch", capabilities}}}});
        session_ = answer.at("sessionId").get<std::string>();
        return true;
    } catch (const std::system_error&) {
        return false;
    }
}

json Browser::call(const std::string& method, const std::string& path, const json& body) {
    StreamClient stream = StreamClient::connect_tcp(port_.number());
    const std::string text = body.is_null() ? "" : body.dump();
    stream.send(method + " " + path +
                " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: " +
                std::to_string(text.size()) + "\r\n\r\n" + text);
    const std::string head = stream.read_until("\r\n\r\n", patience());
    const std::string length = "\r\nContent-Length:";
    const std::size_t at = head.find(length);
    if (at == std::string::npos) throw std::runtime_error("webdriver: " + head);
    const json answer = json::parse(stream.read_exactly(std::stoul(head.substr(at + length.size()))));
    if (head.find(" 200 ") == std::string::npos) throw std::runtime_error("webdriver: " + answer.dump());
    return answer.at("value");
}

void Browser::open(const std::string& url) {
    command("/url", {{"url", url}});
}

json Browser::run(const std::string& script) {
    return command("/execute/sync", {{"script", script}, {"args", json::array()}});
}

bool Browser::wait_for(const std::string& script) {
    const Deadline deadline(std::chrono::seconds(20));
    while (run(script) != json(true)) {
        if (deadline.passed()) return false;
    }
    return true;
}

json Browser::protocol(const std::string& name, const json& parameters) {
    return command("/goog/cdp/execute", {{"cmd", name}, {"params", parameters}});
}

void Browser::resize(int width, int height, bool phone) {
    protocol("Emulation.setDeviceMetricsOverride",
             {{"width", width}, {"height", height}, {"deviceScaleFactor", 1}, {"mobile", phone}});
}

void Browser::set_dark(bool dark) {
    const json feature = {{"name", "prefers-color-scheme"}, {"value", dark ? "dark" : "light"}};
    protocol("Emulation.setEmulatedMedia", {{"features", json::array({feature})}});
}

std::string Browser::screenshot() {
    return decode_base64(
        protocol("Page.captureScreenshot", {{"format", "png"}}).at("data").get<std::string>());
}

std::vector<std::string> Browser::take_console() {
    std::vector<std::string> lines;
    for (const json& line : command("/se/log", {{"type", "browser"}}))
        lines.push_back(line.at("level").get<std::string>() + ": " + line.at("message").get<std::string>());
    return lines;
}

}  // namespace drover::test
