// CounterRow is a worker's side of the counter table: the table read-only and its own row writable, and
// nobody else's row at all. Runs in: worker; the master for its own counters.
#pragma once

#include "core/counters/counter.h"
#include "core/counters/counter_reader.h"
#include "core/counters/histogram.h"
#include "core/memory/shared_memory.h"

#include <cstdint>
#include <string_view>
#include <vector>

namespace drover {

class CounterRow {
  public:
    using Labels = std::vector<CounterLabel>;

    // Maps the table read-only and the row writable; neither descriptor is needed afterwards: close them.
    // Marks the calling thread as the one that counts. Throws std::runtime_error when that row of the table
    // is not `instance`'s, when table_fd could be written through, and when row_fd is no row of that table.
    CounterRow(int table_fd, int row_fd, std::uint32_t row, std::uint64_t instance);

    // A column declared by this worker's generation, or by the one that is being prepared: for labels that
    // come with a hot reload, ask again in Module::prepare. Throws std::out_of_range for what was not
    // declared. Labels are as in the declaration, in its order. The totals begin at 0; the worker's own value
    // begins at what it had counted by a former column where that one's cells are used again.
    Counter counter(std::string_view name, const Labels& labels = {}) const;
    Gauge gauge(std::string_view name, const Labels& labels = {}) const;
    Histogram histogram(std::string_view name, HistogramBounds bounds, const Labels& labels = {}) const;
    const StatusPage& status() const noexcept { return table_.status(); }

  private:
    std::uint64_t* cells(CounterKind kind, std::string_view name, const Labels& labels,
                         HistogramBounds bounds) const;

    CounterReader table_;  // without a row
    Mapping row_;
    mutable std::uint32_t next_column_ = 0;  // what is asked for is mostly asked for in order
};

}  // namespace drover
