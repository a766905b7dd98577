// CounterTable is the master's side of the counter table: columns declared by core and modules, a row for
// each worker process, and the totals of the dead. It owns the table's memfd and one for each row, assigns
// columns and rows, and folds the rows of the dead into the totals (double-buffered, one flip: whoever dies
// half-way, nothing is lost or counted twice). It works by what it keeps for itself: the table's memory is
// where it publishes that, and is never read back. Of a row it reads cells, and nothing that it goes by.
// core/counters/counter_row.h: a worker's side, its own row writable and no other way to write.
// core/counters/counter_reader.h: anybody's side. Runs in: the master.
#pragma once

#include "core/base/unique_fd.h"
#include "core/counters/counter_layout.h"
#include "core/counters/counter_reader.h"
#include "core/counters/counter_row.h"
#include "core/counters/counter_rows.h"
#include "core/memory/sequence_lock.h"
#include "core/memory/shared_memory.h"
#include "core/protocol/status_page.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace drover {

struct CounterCapacity {
    std::uint32_t cells = 65536;  // a row: a counter or gauge takes one, a histogram its buckets and one
    std::uint32_t rows = 512;     // processes at one time, old and new ones of a reload together
};

class CounterTable {
  public:
    // Throws std::system_error; std::length_error for a capacity of 0 or above 262144 cells.
    explicit CounterTable(CounterCapacity capacity = {});

    // Gives each declaration of a generation a column: the one it has already (column_key), or free cells, or
    // those of retired columns that no row uses. Throws std::length_error, naming the first that found no
    // room, std::invalid_argument for one that is wrong (declaration_fault) and std::system_error when there
    // is no memory, with nothing changed. The columns stay while any generation declares them. A second call
    // for one generation adds to the first, and is undone by a second forget().
    void declare(std::uint64_t generation, std::span<const CounterDeclaration> declarations);
    // The generation is gone: columns that no other one declares are retired. A declaration that comes back
    // before its column was reused continues from its total. Rows that may count for the generation keep its
    // columns from being reused.
    void forget(std::uint64_t generation);

    struct RowOwner {
        std::uint64_t instance = 0;  // not 0, never reused
        std::uint64_t generation = 0;
        std::string pool;  // cut at 63 bytes
        std::uint32_t slot = 0;
    };
    // A new row, all zero; none when all are taken. Throws std::system_error when there is no memory or no
    // descriptor for it.
    std::optional<std::uint32_t> take_row(const RowOwner& owner);
    void set_row_pid(std::uint32_t row, std::uint32_t pid) noexcept;
    // The row's worker counts by another generation's columns from now on (a hot reload); those of the ones
    // before it stay in use until it is known to have let go of them.
    void set_row_generation(std::uint32_t row, std::uint64_t generation);
    // What is known: while it serves `generation` something in it may still count for these, and for no
    // others. Nothing happens when the row's generation is another one by now.
    void set_older_generations(std::uint32_t row, std::uint64_t generation,
                               std::span<const std::uint64_t> older);
    // The worker of the row is dead (reaped): its counters are added to the totals, its gauges are dropped,
    // the row is gone, and what a descendant of the worker that has it mapped still writes there counts for
    // nobody. Nothing happens for a free row.
    void fold(std::uint32_t row) noexcept;

    // Of the table; a mapping of it can never be made writable, by whomever.
    int read_only_fd() const noexcept { return read_only_fd_.get(); }
    // Of a taken row, for its worker: read-write.
    int row_fd(std::uint32_t row) const;
    // Rows that were taken after that rows_sequence, with new read-only descriptors. Throws std::system_error
    // when there are none.
    RowBatch rows_after(std::uint64_t sequence) const;
    // For readers of this process, which then have the master's own mappings. The table outlives them.
    RowSource row_source() const;
    StatusWriter status() noexcept;

  private:
    struct Row {
        std::uint64_t instance = 0;  // 0: free
        std::uint64_t generation = 0;
        std::uint64_t taken_at = 0;  // RowEntry
        std::uint64_t order = 0;     // RowTicket
        UniqueFd fd;
        std::shared_ptr<const Mapping> memory;
        std::vector<std::uint64_t> older;  // generations that it may still count for

        const std::uint64_t& cell(std::uint32_t index) const noexcept {
            return static_cast<const std::uint64_t*>(memory->data())[index];
        }
    };
    struct KnownColumn {
        ColumnState state = ColumnState::free;
        std::uint64_t key = 0;
        CounterKind kind = CounterKind::counter;
        CellRange cells;
        std::string name;
        std::vector<CounterLabel> labels;
    };
    struct Declared {
        std::uint64_t generation = 0;
        unsigned holders = 0;  // declare() less forget(); with none it is kept while rows are left
        std::vector<std::uint32_t> columns;
    };
    // What declare() is about to do (counter_columns.cpp).
    struct Plan;

    void plan_known(std::span<const CounterDeclaration> declarations, Plan& plan) const;
    void plan_new(const CounterDeclaration& declaration, Plan& plan) const;
    bool is_clean(std::uint32_t cell) const noexcept;
    std::vector<bool> columns_in_use() const;
    void reserve(std::uint32_t columns, std::uint32_t cells);
    void assign(std::uint32_t index, CellRange cells, const CounterDeclaration& declaration);
    bool start_from_nothing(std::uint32_t cell) noexcept;
    void set_state(std::uint32_t index, ColumnState state) noexcept;
    SequenceWrite change_columns() noexcept;
    void count_rows_change() noexcept;
    std::vector<std::uint32_t> taken_after(std::uint64_t rows_sequence) const;
    void drop_unused_generations();
    static bool row_uses(const Row& row, std::uint64_t generation) noexcept;

    UniqueFd fd_;
    UniqueFd read_only_fd_;
    TableLayout layout_;
    Mapping mapping_;
    TableView<std::byte> view_;
    std::vector<Declared> declared_;
    std::vector<KnownColumn> columns_;   // one for each that was ever used
    std::vector<std::uint64_t> totals_;  // of each cell that was ever used
    std::vector<Row> rows_;              // one for each that was ever taken
    std::uint64_t fold_ = 0;             // TableHeader
    std::uint64_t columns_sequence_ = 0;
    std::uint64_t rows_sequence_ = 0;
};

}  // namespace drover
