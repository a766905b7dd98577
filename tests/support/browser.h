// Browser is a headless Chromium that a test looks at a page with, driven by chromedriver (W3C WebDriver).
// Owned by the test, which starts no process that outlives it meanwhile; all of it has ended when it goes.
// Runs in: tests.
#pragma once

#include "tests/support/child.h"
#include "tests/support/ports.h"
#include "tests/support/temporary_folder.h"

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace drover::test {

class Browser {
  public:
    // Throws std::runtime_error when there is no browser to start.
    Browser();
    ~Browser();
    Browser(const Browser&) = delete;
    Browser& operator=(const Browser&) = delete;

    void open(const std::string& url);
    // What the function body `script` returns.
    nlohmann::json run(const std::string& script);
    // Looks again until `script` returns true; false when it does not in time.
    bool wait_for(const std::string& script);
    // The size of the view in CSS pixels, as on a phone or not, in light or dark.
    void resize(int width, int height, bool phone = false);
    void set_dark(bool dark);
    // A PNG of the view.
    std::string screenshot();
    // What the console says by now, errors of the page and of its policy included; then it is empty.
    std::vector<std::string> take_console();

  private:
    nlohmann::json call(const std::string& method, const std::string& path, const nlohmann::json& body);
    nlohmann::json command(const std::string& path, const nlohmann::json& body) {
        return call("POST", "/session/" + session_ + path, body);
    }
    nlohmann::json protocol(const std::string& name, const nlohmann::json& parameters);
    bool try_start_session();

    std::vector<pid_t> others_;  // children of the test that were there before
    ReservedPort port_;
    TemporaryFolder folder_;
    Child driver_;
    std::string session_;
};

}  // namespace drover::test
