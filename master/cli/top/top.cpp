#include "master/cli/top/top.h"

#include "core/counters/counter_reader.h"
#include "master/cli/top/rates.h"
#include "master/cli/top/screen.h"
#include "master/cli/top/terminal.h"

#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <string_view>

#include <poll.h>

namespace drover::top {

namespace {

constexpr std::int64_t interval_ms = 1000;

// https://no-color.org, and terminals that obey nothing.
bool wants_style() noexcept {
    const char* const no_color = std::getenv("NO_COLOR");
    const char* const terminal = std::getenv("TERM");
    const bool refused = no_color != nullptr && *no_color != '\0';
    return !refused && terminal != nullptr && std::string_view(terminal) != "dumb";
}

std::int64_t now_ms() noexcept {
    using namespace std::chrono;
    return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}

[[noreturn]] void say_that_it_ended() {
    throw std::runtime_error("the master has ended");
}

// A table that would not stand still is looked at again the next time.
void look(const CounterReader& reader, Rates& rates) {
    try {
        rates.add(take_sample(reader, now_ms()));
    } catch (const std::runtime_error&) {
    }
}

}  // namespace

void watch(const CounterSource& source) {
    const CounterReader reader(source.table.get(), source.rows);
    Screen screen(wants_style());
    Rates rates;
    Terminal terminal;
    std::int64_t next_ms = now_ms();
    for (;;) {
        if (now_ms() >= next_ms) {
            next_ms = now_ms() + interval_ms;
            if (!screen.paused()) look(reader, rates);
        }
        terminal.show(screen.draw(rates.view(), terminal.size()));
        const auto event = terminal.wait(std::chrono::milliseconds(next_ms - now_ms()), source.master.get());
        if (event.other) say_that_it_ended();
        if (event.end || (event.key && !screen.press(*event.key, rates.view()))) return;
    }
}

std::string look_once(const CounterSource& source) {
    const CounterReader reader(source.table.get(), source.rows);
    Rates rates;
    rates.add(take_sample(reader, now_ms()));
    pollfd master{.fd = source.master.get(), .events = POLLIN, .revents = 0};
    if (::poll(&master, 1, static_cast<int>(interval_ms)) > 0) say_that_it_ended();
    rates.add(take_sample(reader, now_ms()));
    std::string text;
    for (const std::string& line : Screen(false).draw_once(rates.view()))
        text += line + '\n';
    return text;
}

}  // namespace drover::top
