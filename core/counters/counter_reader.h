// CounterReader is anybody's side of the counter table: names, values and sums from read-only mappings,
// consistent across folds. The table it has from the beginning; the rows of the living it has to be given,
// and those that have come since again (core/counters/counter_rows.h). A row that it lacks counts as soon as
// it is given or folded: sums never go back, but may be late by what the newest workers have counted. For the
// rest nobody has to help. Runs in: every process.
#pragma once

#include "core/counters/counter_declaration.h"
#include "core/counters/counter_layout.h"
#include "core/counters/counter_rows.h"
#include "core/memory/shared_memory.h"
#include "core/protocol/status_page.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace drover {

class CounterReader {
  public:
    // Maps and checks the layout against the descriptor's size; throws std::runtime_error that says what is
    // wrong. The descriptor is not needed afterwards. Where there is a source it is asked for the rows that
    // are missing before each look; where it fails those known stand.
    explicit CounterReader(int read_only_fd, RowSource source = {});

    // Without a source: what rows are to be asked for (RowSource), or none when all are here. attach() takes
    // what was given, and lets go of the rows of the dead. It throws std::runtime_error for what is no row.
    std::optional<std::uint64_t> rows_wanted() const noexcept;
    void attach(RowBatch batch) const;

    struct Sum : CounterDeclaration {
        // Totals plus live rows; of a gauge in two's complement, over live rows alone; of a histogram how
        // many were observed.
        std::uint64_t value = 0;
        // Of a histogram: the sum of all values, and how many fell into each bucket of
        // HistogramScale(bounds).
        std::uint64_t sum = 0;
        std::vector<std::uint64_t> buckets;

        std::string text() const { return counter_text(name, labels); }
        double quantile(double q) const noexcept;  // in what is counted
        double in_units(double counted) const noexcept { return counted / (per_unit == 0 ? 1 : per_unit); }
        std::int64_t gauge() const noexcept { return static_cast<std::int64_t>(value); }
        // `value` in units, whatever the kind.
        double amount() const noexcept {
            return in_units(kind == CounterKind::gauge ? static_cast<double>(gauge())
                                                       : static_cast<double>(value));
        }
    };
    // Every live column, in column order. The counters and buckets of two calls never go backwards. Throws
    // std::runtime_error when no consistent sum was found in a bounded number of tries.
    std::vector<Sum> sums() const;
    // All columns of one name, whatever their labels; 0 for an unknown name. Where the name has several kinds
    // the counter's, then the gauge's. Throws as sums() does.
    std::uint64_t sum(std::string_view name) const;

    // A worker's own figures. Where the table is nearly full a new column is given the cells of one that has
    // left the configuration. A worker that lived through that has in its row what it had counted by the
    // former column: no total and no difference of two looks has it in, but what the worker has counted by
    // the new column is not known. Where one figure is asked for it is left out then; gauges are never
    // concerned.

    // One live worker's figure of a counter or gauge without labels; none when the instance has no row, the
    // name no column, or the figure is not known. Throws as sums() does.
    std::optional<std::uint64_t> value_of(std::uint64_t instance, std::string_view name) const;

    // What all live workers have counted, by the same columns.
    struct WorkerRows {
        struct Row {
            std::uint64_t instance = 0;
            std::uint64_t taken_at = 0;
        };
        struct Place {
            std::size_t first = 0;  // in a row's cells
            std::size_t count = 0;
            std::uint64_t reused_at = 0;
        };
        std::vector<Sum> columns;   // in column order; their values are 0
        std::vector<Place> places;  // one for each column
        std::vector<Row> rows;
        std::vector<std::uint64_t> cells;  // of all rows
        std::size_t row_size = 0;

        // Of a counter or gauge its value; of a histogram the sum of all values, then the buckets. By indices
        // in `rows` and `columns`.
        std::span<const std::uint64_t> of(std::size_t row, std::size_t column) const noexcept {
            return std::span(cells).subspan(row * row_size + places[column].first, places[column].count);
        }
        // False: they have a former column's rest in them, so that only their differences mean anything.
        bool counts_from_nothing(std::size_t row, std::size_t column) const noexcept {
            return places[column].reused_at <= rows[row].taken_at;
        }
    };
    // Of the columns that are `wanted`: one description of the columns and one pass over the rows, however
    // many workers there are. The master's own row is left out. Throws as sums() does.
    using WantedColumns = std::function<bool(const CounterDeclaration&)>;
    WorkerRows worker_rows(const WantedColumns& wanted) const;

    // The worker that fills a row, and its own figure.
    struct WorkerValue {
        std::string pool;
        std::uint32_t slot = 0;
        std::uint32_t pid = 0;
        std::uint64_t instance = 0;
        std::uint64_t generation = 0;
        std::int64_t value = 0;
    };
    // value_of each live worker, by row; what gauges of CounterScope::worker are for. The master's own row is
    // none of them.
    std::vector<WorkerValue> each_worker(std::string_view name) const;

    // A live column.
    std::optional<std::uint32_t> find_column(std::string_view name, CounterKind kind,
                                             const std::vector<CounterLabel>& labels = {},
                                             HistogramBounds bounds = {}) const noexcept;
    // The same by its key; the search begins at `hint` and goes all the way round.
    struct FoundColumn {
        std::uint32_t index = 0;
        CellRange cells;
        std::uint64_t reused_at = 0;  // Column::reused_at
    };
    std::optional<FoundColumn> find_key(std::uint64_t key, std::uint32_t hint = 0) const noexcept;

    // The page lies in the mapping, status_size() bytes of it.
    const StatusPage& status() const noexcept;
    std::size_t status_size() const noexcept { return view_.layout().status_size; }
    // StatusPage::read of it.
    StatusSnapshot status_snapshot() const { return status().read(status_size()); }
    std::uint32_t row_count() const noexcept { return view_.layout().row_count; }
    // The instance that fills the row (below row_count()); 0: the row is free.
    std::uint64_t instance_of(std::uint32_t row) const noexcept;
    const TableLayout& layout() const noexcept { return view_.layout(); }

  private:
    struct LiveColumns {
        std::uint64_t sequence = 0;  // of the columns, when these were read
        std::vector<CellRange> cells;
        std::vector<std::uint64_t> reused_at;
        std::vector<Sum> sums;

        // With the values of `cells`, one behind the other.
        std::vector<Sum> with(std::span<const std::uint64_t> values) &&;
    };
    // A row that it was given. Its cells stay what they are, whatever becomes of the worker.
    struct Row {
        RowTicket ticket;
        std::shared_ptr<const Mapping> memory;

        const std::uint64_t* cells() const noexcept {
            return static_cast<const std::uint64_t*>(memory->data());
        }
    };
    struct Found {
        bool consistent = false;  // else the columns never stood still
        std::uint64_t sequence = 0;
        std::optional<FoundColumn> column;
    };

    [[noreturn]] static void give_up();
    static std::vector<CellRange> joined(std::span<const CellRange> columns);
    void ask_for_rows() const;
    const Row* row_of(std::uint64_t instance) const noexcept;
    bool is_live(const Row& row) const noexcept;
    LiveColumns live_columns() const;
    Sum describe(std::uint32_t index) const;
    bool collect_family(std::string_view name, LiveColumns& family) const;
    bool add_up_once(std::span<const CellRange> runs, std::span<std::uint64_t> values) const noexcept;
    bool add_up(std::span<const CellRange> columns, std::span<std::uint64_t> values,
                std::uint64_t sequence) const;
    Found find(std::uint64_t key, std::uint32_t hint) const noexcept;
    std::optional<FoundColumn> find_once(std::uint64_t key, std::uint32_t hint) const noexcept;
    Found find_plain(std::string_view name) const;
    bool still(std::uint64_t sequence) const noexcept;
    void add_row(const Row& row, std::span<const CellRange> runs, WorkerRows& rows) const;
    std::optional<WorkerValue> worker_value(const Row& row, const FoundColumn& column) const;

    Mapping mapping_;
    TableView<const std::byte> view_;
    RowSource source_;
    mutable std::vector<Row> rows_;            // by order
    mutable std::uint64_t rows_sequence_ = 0;  // TableHeader; of what it was given last
};

}  // namespace drover
