// A counter table with a status page and live rows, as a master and its workers would have filled it. Runs
// in: tests.
#pragma once

#include "core/counters/counter_table.h"
#include "core/protocol/status_page.h"

#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

namespace drover::test {

struct StatusFixture {
    static constexpr std::int64_t now_ms = 10'000'000;

    StatusFixture() {
        const std::vector<CounterDeclaration> declarations = {
            {"drover_connections_accepted_total", CounterKind::counter, "connections", "Accepted."},
            {"drover_connections_active", CounterKind::gauge, "connections", "Open now."},
        };
        table.declare(3, declarations);
        master.pid = 4711;
        master.state = MasterState::running;
        master.generation = 3;
        master.started_ms = now_ms - 192'000;
        set_text(master.version, "0.1.0");
        set_text(master.program, "drover");
        set_text(master.program_version, "0.1.0");
    }

    template <std::size_t Size>
    static void set_text(char (&field)[Size], std::string_view text) {
        std::memset(field, 0, Size);
        std::memcpy(field, text.data(), std::min(text.size(), Size - 1));
    }

    WorkerStatus& add_worker(std::uint32_t slot, WorkerState state) {
        WorkerStatus& worker = workers.emplace_back();
        set_text(worker.pool, "main");
        worker.slot = slot;
        worker.generation = 3;
        worker.state = state;
        return worker;
    }

    // A row of its own for the worker, which counts into it.
    void count(const WorkerStatus& worker, std::uint64_t accepted, std::int64_t active) {
        const auto row = table.take_row({worker.instance, worker.generation, worker.pool, worker.slot});
        CounterRow cells(table.read_only_fd(), table.row_fd(row.value()), row.value(), worker.instance);
        cells.counter("drover_connections_accepted_total").add(accepted);
        cells.gauge("drover_connections_active").set(active);
    }

    void publish() { table.status().write(master, workers); }

    CounterTable table{{.cells = 8, .rows = 256}};
    CounterReader reader{table.read_only_fd(), table.row_source()};
    MasterStatus master;
    std::vector<WorkerStatus> workers;
};

}  // namespace drover::test
