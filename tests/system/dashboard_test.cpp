// The dashboard in a real browser. Where Chromium is not installed that passes unseen.
#include "tests/support/browser.h"
#include "tests/support/busy_clients.h"
#include "tests/support/held_connections.h"
#include "tests/support/http_client.h"
#include "tests/support/master_under_test.h"
#include "tests/support/skipped.h"

#include <csignal>
#include <cstdlib>
#include <fstream>

#include <doctest/doctest.h>

namespace drover::test {

namespace {

std::string says(const std::string& element, const std::string& text) {
    return "return document.querySelector('" + element + "').textContent.includes('" + text + "');";
}

// For docs/: DROVER_SCREENSHOTS names the folder.
void keep(const std::string& name, const std::string& png) {
    CHECK(png.starts_with("\x89PNG"));
    CHECK(png.size() > 10'000);
    CHECK(png.size() < 150 * 1024);
    const char* const folder = std::getenv("DROVER_SCREENSHOTS");
    if (folder != nullptr) std::ofstream(std::string(folder) + "/" + name, std::ios::binary) << png;
}

// Nothing is wider than the view.
const std::string fits =
    "return document.documentElement.scrollWidth <= document.documentElement.clientWidth;";

void check_console(Browser& browser) {
    for (const std::string& line : browser.take_console())
        FAIL_CHECK(line);
}

}  // namespace

TEST_CASE("the dashboard shows workers, a death and a reload, on a desk and on a phone") {
    if (lacks_program("chromedriver")) return;
    const ReservedPort port;
    TestConfig config{.workers = 3, .rest = "[observer]\nlisten = \"" + port.address() + "\"\n"};
    MasterUnderTest master(config);
    {
        Browser browser;
        browser.resize(1280, 960);
        browser.open("http://" + port.address() + "/");
        REQUIRE(browser.wait_for("return document.querySelectorAll('#workers tr').length === 4;"));
        CHECK(browser.wait_for(says("#state", "running")));
        CHECK(browser.wait_for(says("#generation", "1")));
        CHECK(browser.wait_for(says("#events", "is ready")));
        BusyClients clients(master.http_port(), 8);
        CHECK(browser.wait_for("return /[1-9]/.test(document.querySelector('#rate .value').textContent);"));
        check_console(browser);

        const pid_t victim = master.worker_pids().front();
        ::kill(victim, SIGKILL);
        CHECK(browser.wait_for(says("#events", "pid " + std::to_string(victim))));
        CHECK(browser.wait_for(says("#events", "killed by signal 9")));
        CHECK(browser.wait_for("return !document.querySelector('#workers').textContent.includes('pid " +
                               std::to_string(victim) + "');"));
        CHECK(browser.wait_for("return document.querySelectorAll('#workers tr').length === 4;"));

        config.master = "reload = \"fresh\"\n";
        config.body = "second";
        master.write_config(config);
        REQUIRE(master.control("reload").ok);
        CHECK(browser.wait_for(says("#generation", "2")));
        CHECK(
            browser.wait_for("return [...document.querySelectorAll('#workers tr')].every("
                             "(row) => row.children[2].textContent === '2');"));
        CHECK(browser.wait_for(says("#reload", "ok")));
        CHECK(browser.wait_for(says("#events", "reload verdict")));
        // The first stream has ended with its observer: the browser knows now when it began.
        CHECK(
            browser.wait_for("const loaded = performance.getEntriesByType('navigation')[0].loadEventEnd;"
                             "const streams = performance.getEntriesByType('resource').filter((entry) => "
                             "entry.name.endsWith('/live'));"
                             "return loaded > 0 && streams.length > 0 && streams[0].startTime >= loaded;"));
        // The observer was replaced, too: what the browser says of the end of that stream is its way.
        browser.take_console();

        CHECK(browser.run(fits) == nlohmann::json(true));
        keep("dashboard-light.png", browser.screenshot());
        browser.set_dark(true);
        CHECK(browser.run("return getComputedStyle(document.body).backgroundColor;") == "rgb(18, 21, 23)");
        keep("dashboard-dark.png", browser.screenshot());
        for (const int width : {375, 320, 940, 941}) {
            browser.resize(width, 812, width < 500);
            CHECK_MESSAGE(browser.run(fits) == nlohmann::json(true), width);
        }
        browser.resize(375, 812, true);
        keep("dashboard-phone.png", browser.screenshot());
        check_console(browser);
        clients.stop();
    }
    master.finish();
}

TEST_CASE(
    "the dashboard changes rows in place, tells who is silent and what was handed over, and can be read") {
    if (lacks_program("chromedriver")) return;
    const ReservedPort port;
    TestConfig config{.master = "reload = \"fresh\"\n",
                      .pool = "hang_timeout = \"off\"\n",
                      .rest = "[observer]\nlisten = \"" + port.address() + "\"\n"};
    MasterUnderTest master(config);
    {
        Browser browser;
        browser.open("http://" + port.address() + "/");
        REQUIRE(browser.wait_for("return document.querySelectorAll('#workers tr').length === 3;"));
        REQUIRE(browser.wait_for(says("#events", "generation 1 serves")));
        browser.run(R"(
            window.rows = [...document.querySelectorAll('#workers tr')];
            window.kept = document.querySelector('#events li');
            window.changes = 0;
            const count = (list) => { window.changes += list.length; };
            for (const id of ['workers', 'events'])
                new MutationObserver(count).observe(document.getElementById(id), { childList: true });
            window.moments = new Set();
            const uptime = document.getElementById('uptime');
            new MutationObserver(() => window.moments.add(uptime.textContent))
                .observe(uptime, { childList: true, characterData: true, subtree: true });
        )");
        // Each of three messages has changed what is on the page, and nothing has come or gone.
        CHECK(browser.wait_for("return window.moments.size >= 3;"));
        CHECK(browser.run("return window.changes;") == 0);
        CHECK(browser.run("return window.rows.every((row, i) => "
                          "row === document.querySelectorAll('#workers tr')[i]);") == true);

        const pid_t silent = master.worker_pids().front();
        REQUIRE(freeze(silent));
        CHECK(
            browser.wait_for("return /^silent [1-9]/.test("
                             "document.querySelector('#workers [data-state=silent]')?.textContent);"));
        CHECK(browser.wait_for(
            "return getComputedStyle(document.querySelector('[data-state=silent]')).color === "
            "'rgb(173, 47, 36)';"));
        ::kill(silent, SIGCONT);
        CHECK(browser.wait_for("return document.querySelector('[data-state=silent]') === null;"));
        CHECK(browser.run("return window.rows[0].isConnected && window.kept.isConnected;") == true);

        HttpClient held(master.http_port());
        CHECK(held.get("/").body == "first");
        config.body = "second";
        master.write_config(config);
        REQUIRE(master.control("reload").ok);
        CHECK(
            browser.wait_for("return [...document.querySelectorAll('#events li')].some((line) => "
                             "line.querySelector('.kind').textContent === 'handover' && "
                             "line.querySelector('.text').textContent.includes('1 connection'));"));
        CHECK(held.get("/").body == "second");

        browser.resize(320, 812, true);
        CHECK(browser.run(fits) == nlohmann::json(true));
        const nlohmann::json small = browser.run(R"(
            const small = [];
            const has_text = (node) => node.nodeType === 3 && node.data.trim() !== '';
            for (const element of document.body.querySelectorAll('*')) {
                for (const part of [null, '::before']) {
                    const { content, fontSize } = getComputedStyle(element, part);
                    const shown = part ? content !== 'none' : [...element.childNodes].some(has_text);
                    if (shown && parseFloat(fontSize) < 12) small.push(element.outerHTML + fontSize);
                }
            }
            return small;
        )");
        CHECK_MESSAGE(small.empty(), small.dump());
    }
    master.finish();
}

TEST_CASE("the dashboard of a service that counts no requests shows what there is") {
    if (lacks_program("chromedriver")) return;
    const ReservedPort port;
    MasterUnderTest master({.workers = 1, .rest = "[observer]\nlisten = \"" + port.address() + "\"\n"});
    master.write_config_text("[master]\nruntime_dir = \"run\"\n[observer]\nlisten = \"" + port.address() +
                             "\"\n[pool.main]\nworkers = 1\nmodules = [\"echo\"]\n[[pool.main.listen]]\n"
                             "address = \"127.0.0.1:" +
                             std::to_string(master.echo_port()) + "\"\nmodule = \"echo\"\n");
    REQUIRE(master.control("reload").ok);
    {
        Browser browser;
        browser.open("http://" + port.address() + "/");
        REQUIRE(browser.wait_for("return document.querySelectorAll('#workers tr').length === 2;"));
        CHECK(browser.wait_for(says("#rate", "New connections")));
        CHECK(browser.wait_for(says("#time", "Sent and received")));
        CHECK(browser.wait_for("return document.querySelector('#time .value').textContent.includes('B');"));
        check_console(browser);
    }
    master.finish();
}

}  // namespace drover::test
