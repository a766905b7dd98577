// Status as a person reads it: the screen that `drover status` prints, from a CounterReader (status page and
// counters) and what the master knows of the generation that serves. For programs:
// core/protocol/status_json.h; the counters themselves: master/control/counters_text.h. Runs in: the master
// (control socket).
#pragma once

#include "core/base/json_writer.h"
#include "core/counters/counter_table.h"

#include <cstdint>
#include <string>
#include <vector>

namespace drover {

// The generation that serves, as the status page does not have it.
struct ServingView {
    struct Pool {
        std::string name;
        unsigned workers = 0;  // that it should have
        unsigned serving = 0;
        unsigned min_healthy = 0;
    };
    struct Listener {
        std::string shown;    // the address with the port that it has
        std::string address;  // as the configuration has it
        std::string pool;
        std::string module;
        std::string absence = {};  // why it cannot be had; empty: it is there
        bool missed = false;       // it is absent, and the configuration calls it optional
    };
    std::vector<Pool> pools;
    std::vector<Listener> listeners;
    // The values that "auto" and shares stand for: "pool.main.memory_limit 120M". For the screen alone.
    std::vector<std::string> automatic = {};
};

// "pool main goes without its optional listener 127.0.0.1:80: bind ...", of a listener that is missed.
std::string missed_text(const ServingView::Listener& listener);
// A sentence for each pool with too few workers, and for each listener that is missed.
std::vector<std::string> degradations(const ServingView& view);

// Writes the members "degraded" and "listeners" of the status JSON.
void write_serving(JsonWriter& json, const ServingView& view);

// `now_ms` is CLOCK_MONOTONIC. Throws std::runtime_error when the table stays torn.
std::string status_screen(const CounterReader& reader, const ServingView& view, std::int64_t now_ms);

// "45s", "3m 12s", "2h 05m", "3d 04h".
std::string age_text(std::int64_t milliseconds);
// "512 B", "1.5 KiB", "2.0 GiB".
std::string bytes_text(std::uint64_t bytes);

}  // namespace drover
