#include "master/cli/top/columns.h"
#include "master/cli/top/screen.h"
#include "tests/master/cli/top_fixture.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace drover;
using namespace drover::test;
using top::Key;

namespace {

top::Rates rates_of(unsigned workers) {
    top::Rates rates;
    for (const std::int64_t second : {1, 2}) {
        std::vector<RowedWorker> samples;
        for (unsigned slot = 0; slot < workers; ++slot)
            samples.push_back(worker_sample(slot, slot + 1, static_cast<std::uint64_t>(second) * 10 * slot));
        rates.add(sample_at(second * 1000, samples));
    }
    return rates;
}

// Without what styles it.
std::string plain(const std::string& line) {
    std::string text;
    for (std::size_t i = 0; i < line.size(); ++i) {
        if (line[i] == '\x1b') {
            i = line.find('m', i);
            REQUIRE(i != line.npos);
        } else {
            text += line[i];
        }
    }
    return text;
}

std::size_t terminal_cells(const std::string& line) {
    const std::string text = plain(line);
    return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string joined(const std::vector<std::string>& lines) {
    std::string text;
    for (const std::string& line : lines)
        text += plain(line) + '\n';
    return text;
}

std::size_t position(const std::string& text, const std::string& part) {
    const std::size_t at = text.find(part);
    REQUIRE_MESSAGE(at != text.npos, part << " is not in\n" << text);
    return at;
}

}  // namespace

TEST_CASE("whatever the size, lines fit, styled or not") {
    const top::Rates rates = rates_of(30);
    for (const bool styled : {false, true}) {
        for (const bool close : {false, true}) {
            top::Screen screen(styled);
            if (close) screen.press(Key::enter, rates.view());
            for (std::size_t columns = 1; columns <= 200; columns += columns < 20 ? 1 : 7) {
                for (const std::size_t rows : {1U, 2U, 3U, 4U, 5U, 10U, 24U, 60U}) {
                    const auto lines = screen.draw(rates.view(), {.columns = columns, .lines = rows});
                    CHECK(lines.size() <= rows);
                    for (const std::string& line : lines)
                        CHECK(terminal_cells(line) <= columns);
                }
            }
        }
    }
}

TEST_CASE("a row says who works, how, and how busily") {
    const top::Rates rates = rates_of(3);
    const std::string text = joined(top::Screen(false).draw(rates.view(), {.columns = 160, .lines = 24}));
    position(text, "running");
    position(text, "generation 3");
    position(text, "workers 3/3");
    position(text, "requests/s 30");
    position(text, "main/2");
    position(text, "serving");
    position(text, "1003");
    position(text, "4.0M");
    position(text, "\u2588");  // the sparkline's only bar is its highest
}

TEST_CASE("80 columns show all that matters and a trend, wider windows the rest") {
    const top::Rates rates = rates_of(3);
    const auto titles = [&](std::size_t columns) {
        return plain(top::Screen(false).draw(rates.view(), {.columns = columns, .lines = 24})[3]);
    };
    const std::string narrow = titles(80);
    for (const char* title :
         {"WORKER", "STATE", "CPU", "MEM", "CONNS", "REQ/S", "P50", "P99", "LAG", "RESTARTS", "TREND"})
        position(narrow, title);
    for (const char* title : {"HEARD", "ACC/S", "GEN", "PID"}) {
        CHECK(narrow.find(title) == std::string::npos);
        position(titles(130), title);
    }
    const std::string row = plain(top::Screen(false).draw(rates.view(), {.columns = 80, .lines = 24})[6]);
    position(row, "main/2");
    position(row, "\u2588");
    // A long name of a pool costs some of the trend, and no column.
    std::vector<RowedWorker> workers = {worker_sample(11, 1, 0)};
    std::string_view("background").copy(workers[0].status.pool, 10);
    top::Rates long_names;
    long_names.add(sample_at(1000, workers));
    const auto lines = top::Screen(false).draw(long_names.view(), {.columns = 80, .lines = 24});
    position(plain(lines[3]), "RESTARTS");
    position(plain(lines[4]), "background/11");
}

TEST_CASE("a worker that nobody has heard of for three of its reports is silent, in red, at 80 columns") {
    const auto drawn = [](std::int64_t time_ms, std::uint32_t interval_ms, WorkerState state, bool styled) {
        RowedWorker worker = worker_sample(0, 1, 0);
        worker.status.report_interval_ms = interval_ms;
        worker.status.heartbeat_ms = 100'000;
        worker.status.state = state;
        if (state == WorkerState::backing_off) worker.status.pid = 0;
        top::Rates rates;
        rates.add(sample_at(time_ms, {worker}));
        const auto lines = top::Screen(styled).draw(rates.view(), {.columns = 80, .lines = 24});
        return styled ? lines[4] : plain(lines[4]) + plain(lines[1]);
    };
    using enum WorkerState;
    CHECK(drawn(103'000, 1000, serving, false).find("silent") == std::string::npos);
    position(drawn(103'001, 1000, serving, false), "silent 3s");
    position(drawn(103'001, 1000, serving, false), "silent 1 ");
    position(drawn(112'000, 1000, draining, false), "silent 12s");
    position(drawn(112'000, 1000, draining, true), "\x1b[0;31msilent 12s");
    CHECK(drawn(129'000, 10'000, serving, false).find("silent") == std::string::npos);
    position(drawn(131'000, 10'000, serving, false), "silent 31s");
    position(drawn(1'300'000, 10'000, serving, false), "silent 20m");
    // Who reports a hundred times a second is not silent for being late once.
    CHECK(drawn(101'000, 10, serving, false).find("silent") == std::string::npos);
    position(drawn(101'001, 10, serving, false), "silent 1s");
    CHECK(drawn(200'000, 1000, backing_off, false).find("silent") == std::string::npos);
}

TEST_CASE("figures of a row have five characters at most") {
    for (const double figure : {0.0, 0.05, 9.94, 9.96, 99.9, 9999.4, 9999.6, 12'345.0, 99'949.0, 99'951.0,
                                99'999.6, 999'499.0, 999'501.0, 1e7, 99.96e6, 999e6}) {
        CAPTURE(figure);
        CHECK(top::rate_text(figure).size() <= 5);
        CHECK(top::count_text(figure).size() <= 5);
        CHECK(top::time_text(figure / 1000).size() <= 5);
        CHECK(top::short_bytes_text(static_cast<std::uint64_t>(figure * 4000)).size() <= 5);
    }
    CHECK(top::count_text(16384) == "16384");
    CHECK(top::rate_text(12'345) == "12.3k");
    CHECK(top::rate_text(3e6) == "3.0M");
    CHECK(top::time_text(1.5) == "1.5s");
    CHECK(top::time_text(1200) == "20m");
    CHECK(top::short_bytes_text(512 * 1024) == "512K");
    CHECK(top::short_bytes_text(123ULL << 20) == "123M");
    CHECK(top::short_bytes_text(3ULL << 29) == "1.5G");
}

TEST_CASE("rows are sorted by the column that is chosen, and turned round") {
    const top::Rates rates = rates_of(3);
    top::Screen screen(false);
    const auto draw = [&] { return joined(screen.draw(rates.view(), {.columns = 160, .lines = 24})); };
    CHECK(position(draw(), "main/0") < position(draw(), "main/2"));
    while (draw().find("sort (CONNS)") == std::string::npos)
        REQUIRE(screen.press(Key::sort, rates.view()));
    CHECK(position(draw(), "main/2") < position(draw(), "main/0"));
    screen.press(Key::reverse, rates.view());
    CHECK(position(draw(), "main/0") < position(draw(), "main/2"));
}

TEST_CASE("the chosen row stays in sight, and is looked at closely") {
    const top::Rates rates = rates_of(100);
    top::Screen screen(false);
    const top::Size size{.columns = 100, .lines = 10};
    for (int i = 0; i < 57; ++i)
        screen.press(Key::down, rates.view());
    CHECK(joined(screen.draw(rates.view(), size)).find("main/57") != std::string::npos);
    screen.press(Key::page_down, rates.view());
    CHECK(joined(screen.draw(rates.view(), size)).find("main/67") != std::string::npos);
    screen.press(Key::enter, rates.view());
    const std::string close = joined(screen.draw(rates.view(), {.columns = 100, .lines = 40}));
    position(close, "main/67");
    position(close, "DEATHS");
    CHECK(close.find("main/66") == std::string::npos);
    screen.press(Key::back, rates.view());
    CHECK(joined(screen.draw(rates.view(), size)).find("DEATHS") == std::string::npos);
}

TEST_CASE("of two processes in one slot, either can be chosen") {
    top::Rates rates;
    RowedWorker old = worker_sample(0, 1, 0);
    old.status.state = WorkerState::draining;
    rates.add(sample_at(1000, {old, worker_sample(0, 2, 0)}));
    top::Screen screen(false);
    const auto pid = [&] {
        screen.press(Key::enter, rates.view());
        const std::string text = joined(screen.draw(rates.view(), {.columns = 100, .lines = 40}));
        screen.press(Key::enter, rates.view());
        return text.find("1001") != std::string::npos ? 1001 : 1002;
    };
    CHECK(pid() == 1001);
    screen.press(Key::down, rates.view());
    CHECK(pid() == 1002);
    screen.press(Key::up, rates.view());
    CHECK(pid() == 1001);
}

TEST_CASE("quit leaves, pause is seen, no worker at all is no trouble") {
    top::Rates rates;
    top::Screen screen(false);
    CHECK(screen.press(Key::down, rates.view()));
    CHECK(screen.press(Key::enter, rates.view()));
    CHECK(screen.press(Key::pause, rates.view()));
    CHECK(screen.paused());
    CHECK(joined(screen.draw(rates.view(), {.columns = 160, .lines = 10})).find("paused") !=
          std::string::npos);
    CHECK_FALSE(screen.press(Key::quit, rates.view()));
}

TEST_CASE("bytes that a terminal would obey are shown as question marks") {
    RowedWorker worker = worker_sample(0, 1, 0);
    worker.status.recent_deaths[0].time_ms = 500;
    std::string_view("\x1b[2J died \xc3\xa4").copy(worker.status.recent_deaths[0].reason, 80);
    top::Rates rates;
    rates.add(sample_at(1000, {worker}));
    top::Screen screen(false);
    screen.press(Key::enter, rates.view());
    const auto lines = screen.draw(rates.view(), {.columns = 100, .lines = 40});
    position(joined(lines), "?[2J died ??");
}
