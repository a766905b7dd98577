// CounterTable is the master's side of the counter table: columns declared by core and modules, a row for
// each worker process, and the totals of the dead. It owns the memfd, assigns columns and rows, and folds the
// rows of the dead into the totals (double-buffered, one flip: whoever dies half-way, nothing is lost or
// counted twice). core/counter_row.h: a worker's side, its own row writable and no other way to write.
// core/counter_reader.h: anybody's side. Runs in: the master.
#pragma once

#include "core/counter_layout.h"
#include "core/counter_reader.h"
#include "core/counter_row.h"
#include "core/shared_memory.h"
#include "core/status_page.h"
#include "core/unique_fd.h"

#include <cstdint>
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
    // A zeroed row; none when all are taken. Throws std::system_error when there is no memory for it.
    std::optional<std::uint32_t> take_row(const RowOwner& owner);
    void set_row_pid(std::uint32_t row, std::uint32_t pid) noexcept;
    // The row's worker counts by another generation's columns from now on (a hot reload); those of the ones
    // before it stay in use until it is known to have let go of them.
    void set_row_generation(std::uint32_t row, std::uint64_t generation);
    // What is known: while it serves `generation` something in it may still count for these, and for no
    // others. Nothing happens when the row's generation is another one by now.
    void set_older_generations(std::uint32_t row, std::uint64_t generation,
                               std::span<const std::uint64_t> older);
    // The worker of the row is dead (reaped: it cannot write any more): its counters are added to the totals,
    // its gauges are dropped, the row is free. Nothing happens for a free row.
    void fold(std::uint32_t row) noexcept;
    // Takes up what a master left half-done: a row it marked is either counted in the totals or live, never
    // both, and columns are readable again. Comes before any other change, by a master that maps the table of
    // another.
    void finish_fold() noexcept;

    int fd() const noexcept { return fd_.get(); }  // read-write
    int read_only_fd() const noexcept { return read_only_fd_.get(); }
    StatusPage& status() noexcept;

  private:
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
    void assign(std::uint32_t index, CellRange cells, const CounterDeclaration& declaration) noexcept;
    bool start_from_nothing(std::uint32_t cell) noexcept;
    void clean_row(std::uint32_t row) noexcept;
    void drop_unused_generations();
    bool row_uses(std::uint32_t row, std::uint64_t generation) const noexcept;

    UniqueFd fd_;
    UniqueFd read_only_fd_;
    // The master works by its own copy of the layout: what it does never depends on what it wrote there.
    TableLayout layout_;
    Mapping mapping_;
    TableView<std::byte> view_;
    std::vector<Declared> declared_;
    std::vector<std::vector<std::uint64_t>> older_;  // of each row: generations that it may still count for
    std::uint32_t columns_used_ = 0;
    std::uint32_t cells_used_ = 0;
};

}  // namespace drover
