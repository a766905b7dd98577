// The counter table: columns declared by core and modules, a row for each worker process, and the totals of the dead.
//
// CounterTable is the master's side: it owns the memfd, assigns columns and rows, and folds the rows of the dead into
// the totals (double-buffered, one flip: whoever dies half-way, nothing is lost or counted twice).
// CounterRow is a worker's side: the table read-only and its own row writable, and no other way to write.
// CounterReader is anybody's side: names, values and sums from a read-only mapping, consistent across folds; it needs
// no help from the master or any worker.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/counter.h"
#include "core/counter_layout.h"
#include "core/shared_memory.h"
#include "core/status_page.h"
#include "core/unique_fd.h"

namespace drover {

struct CounterCapacity {
    std::uint32_t columns = 504;  // one page a row
    std::uint32_t rows = 512;     // worker processes at one time, old and new ones of a reload together
};

class CounterTable {
  public:
    // Throws std::system_error.
    explicit CounterTable(CounterCapacity capacity = {});

    // Gives each declaration of a generation a column: the one it has already (same name and kind), a free one, or a
    // retired one that no row uses. Throws std::length_error, naming the first that found no room, with nothing
    // changed. The columns stay while any generation declares them.
    void declare(std::uint64_t generation, std::span<const CounterDeclaration> declarations);
    // The generation is gone: columns that no other one declares are retired. A name that comes back before its column
    // was reused continues from its total.
    void forget(std::uint64_t generation);

    struct RowOwner {
        std::uint64_t instance = 0;  // not 0, never reused
        std::uint64_t generation = 0;
        std::string pool;
        std::uint32_t slot = 0;
    };
    // A zeroed row; none when all are taken.
    std::optional<std::uint32_t> take_row(const RowOwner& owner);
    void set_row_pid(std::uint32_t row, std::uint32_t pid) noexcept;
    // The worker of the row is dead (reaped: it cannot write any more): its counters are added to the totals, its gauges are dropped, the
    // row is free.
    void fold(std::uint32_t row) noexcept;
    // Takes up a fold that a master left half-done: rows it marked are either counted in the totals or live, never both.
    // For a master that maps the table of another; called by the constructor's future twin and by tests.
    void finish_fold() noexcept;

    int fd() const noexcept { return fd_.get(); }            // read-write
    int read_only_fd() const noexcept { return read_only_fd_.get(); }
    StatusPage& status() noexcept;

  private:
    TableHeader& header() const noexcept;
    Column& column(std::uint32_t index) const noexcept;
    RowEntry& row_entry(std::uint32_t row) const noexcept;
    std::uint64_t* cells(std::uint32_t row) const noexcept;
    std::uint64_t* totals(std::uint64_t fold) const noexcept;
    bool column_in_use(std::uint32_t index) const noexcept;

    UniqueFd fd_;
    UniqueFd read_only_fd_;
    Mapping mapping_;
    struct Declared {
        std::uint64_t generation = 0;
        std::vector<std::uint32_t> columns;
    };
    std::vector<Declared> declared_;
};

class CounterReader {
  public:
    // Maps and checks the layout against the descriptor's size; throws std::runtime_error that says what is wrong.
    explicit CounterReader(int read_only_fd);

    struct Sum {
        std::string name;
        CounterKind kind = CounterKind::counter;
        std::string unit;
        std::string help;
        std::uint64_t value = 0;  // of a gauge: two's complement, the sum over live rows
    };
    // Totals plus live rows of every live column, in column order. Bounded retries while folds go on; the counters of two
    // calls never go backwards.
    std::vector<Sum> sums() const;
    // One column over all rows; 0 for an unknown name.
    std::uint64_t sum(std::string_view name) const;
    // One live worker's own figure; none when the instance has no row or the name no column.
    std::optional<std::uint64_t> value_of(std::uint64_t instance, std::string_view name) const;
    std::optional<std::uint32_t> find_column(std::string_view name, CounterKind kind) const noexcept;
    const StatusPage& status() const noexcept;
    std::uint32_t row_count() const noexcept;

  private:
    Mapping mapping_;
};

class CounterRow {
  public:
    // Maps the table read-only and the row's own page(s) writable; neither descriptor is needed afterwards: close them.
    // Marks the calling thread as the one that counts. Throws std::runtime_error when the row is not `instance`'s.
    CounterRow(int read_only_fd, int read_write_fd, std::uint32_t row, std::uint64_t instance);

    // A column declared by this worker's generation. Throws std::out_of_range for a name that was not declared.
    Counter counter(std::string_view name) const;
    Gauge gauge(std::string_view name) const;
    const CounterReader& reader() const noexcept { return reader_; }

  private:
    std::uint64_t* cell(std::string_view name, CounterKind kind) const;

    CounterReader reader_;
    Mapping row_;
};

}  // namespace drover
