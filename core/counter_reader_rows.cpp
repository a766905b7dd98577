// What single workers have counted: their rows of the table.
#include "core/counter_reader.h"
#include "core/sequence_lock.h"

namespace drover {

std::optional<std::uint32_t> CounterReader::row_of(std::uint64_t instance) const noexcept {
    if (instance == 0) return std::nullopt;
    const std::uint32_t rows = view_.rows_used();
    for (std::uint32_t row = 0; row < rows; ++row) {
        if (instance_of(row) == instance) return row;
    }
    return std::nullopt;
}

// Whether what was read of the row so far was the instance's.
bool CounterReader::was_of(std::uint32_t row, std::uint64_t instance) const noexcept {
    std::atomic_thread_fence(std::memory_order_acquire);
    const RowEntry& entry = view_.row_entry(row);
    // The mark first: once it is taken away the instance is gone as well.
    const bool marked = entry.folded.load(std::memory_order_acquire) != 0;
    return !marked && entry.instance.load(std::memory_order_relaxed) == instance;
}

std::optional<std::uint64_t> CounterReader::value_of(std::uint64_t instance, std::string_view name) const {
    const std::optional<FoundColumn> column = find_plain(name);
    const std::optional<std::uint32_t> row = row_of(instance);
    if (!column || !row) return std::nullopt;
    const std::uint64_t value = load_cell(view_.cells(*row)[column->cells.first]);
    return was_of(*row, instance) ? std::optional(value) : std::nullopt;
}

std::vector<CounterReader::Sum> CounterReader::values_of(std::uint64_t instance) const {
    const std::optional<std::uint32_t> row = row_of(instance);
    for (unsigned tries = 0; row && tries < read_tries; pause_before_retry(++tries)) {
        LiveColumns live = live_columns();
        std::vector<std::uint64_t> values;
        const std::uint64_t* const cells = view_.cells(*row);
        for (const CellRange& range : live.cells) {
            for (std::uint32_t cell = range.first; cell < range.first + range.count; ++cell)
                values.push_back(load_cell(cells[cell]));
        }
        if (!was_of(*row, instance)) return {};
        if (view_.header().columns_sequence.load(std::memory_order_relaxed) == live.sequence)
            return std::move(live).with(values);
    }
    if (row) give_up();
    return {};
}

std::vector<CounterReader::WorkerValue> CounterReader::each_worker(std::string_view name) const {
    std::vector<WorkerValue> values;
    const std::optional<FoundColumn> column = find_plain(name);
    if (!column) return values;
    const std::uint32_t rows = view_.rows_used();
    for (std::uint32_t row = 0; row < rows; ++row) {
        const RowEntry& entry = view_.row_entry(row);
        WorkerValue value;
        value.instance = instance_of(row);
        if (value.instance == 0) continue;
        char pool[sizeof entry.pool];
        load_words(pool, entry.pool, sizeof pool);
        value.pool = bounded_text(pool);
        value.slot = entry.slot.load(std::memory_order_relaxed);
        value.pid = entry.pid.load(std::memory_order_relaxed);
        value.generation = entry.generation.load(std::memory_order_relaxed);
        value.value = static_cast<std::int64_t>(load_cell(view_.cells(row)[column->cells.first]));
        if (was_of(row, value.instance) && !value.pool.empty()) values.push_back(std::move(value));
    }
    return values;
}

}  // namespace drover
