// The counter table: columns declared by core and modules, a row for each worker process, and the totals of
// the dead.
//
// CounterTable is the master's side: it owns the memfd, assigns columns and rows, and folds the rows of the
// dead into the totals (double-buffered, one flip: whoever dies half-way, nothing is lost or counted twice).
// CounterRow is a worker's side: the table read-only and its own row writable, and no other way to write.
// CounterReader is anybody's side: names, values and sums from a read-only mapping, consistent across folds;
// it needs no help from the master or any worker.
#pragma once

#include "core/counter.h"
#include "core/counter_layout.h"
#include "core/shared_memory.h"
#include "core/status_page.h"
#include "core/unique_fd.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace drover {

struct CounterCapacity {
    std::uint32_t columns = 504;  // one page a row
    std::uint32_t rows = 512;     // worker processes at one time, old and new ones of a reload together
};

class CounterTable {
  public:
    // Throws std::system_error; std::length_error for a capacity of 0 or above 65536.
    explicit CounterTable(CounterCapacity capacity = {});

    // Gives each declaration of a generation a column: the one it has already (same name and kind), a free
    // one, or a retired one that no row uses. Throws std::length_error, naming the first that found no room
    // or has a text that is too long, and std::invalid_argument for a name that is not Prometheus', with
    // nothing changed. The columns stay while any generation declares them. A second call for one generation
    // adds to the first, and is undone by a second forget().
    void declare(std::uint64_t generation, std::span<const CounterDeclaration> declarations);
    // The generation is gone: columns that no other one declares are retired. A name that comes back before
    // its column was reused continues from its total. Rows of the generation keep its columns from being
    // reused.
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
    // The row's worker counts by another generation's columns from now on (a hot reload).
    void set_row_generation(std::uint32_t row, std::uint64_t generation) noexcept;
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

    std::vector<std::uint32_t> choose_columns(std::span<const CounterDeclaration> declarations) const;
    std::vector<bool> columns_used_by_rows() const;
    void add_row_columns(std::uint32_t row, std::vector<bool>& used) const;
    void assign(std::uint32_t index, const CounterDeclaration& declaration) noexcept;
    void clean_row(std::uint32_t row) noexcept;
    void drop_unused_generations();

    UniqueFd fd_;
    UniqueFd read_only_fd_;
    // The master works by its own copy of the layout: what it does never depends on what it wrote there.
    TableLayout layout_;
    Mapping mapping_;
    TableView<std::byte> view_;
    std::vector<Declared> declared_;
};

class CounterReader {
  public:
    // Maps and checks the layout against the descriptor's size; throws std::runtime_error that says what is
    // wrong. The descriptor is not needed afterwards.
    explicit CounterReader(int read_only_fd);

    struct Sum {
        std::string name;
        CounterKind kind = CounterKind::counter;
        std::string unit;
        std::string help;
        std::uint64_t value = 0;  // of a gauge: two's complement, the sum over live rows
    };
    // Totals plus live rows of every live column, in column order. The counters of two calls never go
    // backwards. Throws std::runtime_error when no consistent sum was found in a bounded number of tries.
    std::vector<Sum> sums() const;
    // One column over all rows; 0 for an unknown name. Throws as sums() does.
    std::uint64_t sum(std::string_view name) const;
    // One live worker's own figure; none when the instance has no row or the name no column.
    std::optional<std::uint64_t> value_of(std::uint64_t instance, std::string_view name) const;
    // A live column.
    std::optional<std::uint32_t> find_column(std::string_view name, CounterKind kind) const noexcept;
    // The page lies in the mapping, status_size() bytes of it.
    const StatusPage& status() const noexcept;
    std::size_t status_size() const noexcept { return view_.layout().status_size; }
    // StatusPage::read of it.
    StatusSnapshot status_snapshot() const { return status().read(status_size()); }
    std::uint32_t row_count() const noexcept { return view_.layout().row_count; }
    // Who fills the row (below row_count()); 0: nobody.
    std::uint64_t instance_of(std::uint32_t row) const noexcept;
    const TableLayout& layout() const noexcept { return view_.layout(); }

  private:
    struct LiveColumns {
        std::uint64_t sequence = 0;  // of the columns, when these were read
        std::vector<std::uint32_t> indexes;
        std::vector<Sum> sums;
    };
    struct Found {
        bool consistent = false;  // else the columns never stood still
        std::uint64_t sequence = 0;
        std::optional<std::uint32_t> column;
    };

    LiveColumns live_columns() const;
    bool add_up_once(std::span<const std::uint32_t> columns, std::span<std::uint64_t> values) const noexcept;
    bool add_up(std::span<const std::uint32_t> columns, std::span<std::uint64_t> values,
                std::uint64_t sequence) const;
    Found find_either(std::string_view name) const;
    Found find(std::string_view name, CounterKind kind) const noexcept;
    std::optional<std::uint32_t> find_once(std::string_view name, CounterKind kind) const noexcept;

    Mapping mapping_;
    TableView<const std::byte> view_;
};

class CounterRow {
  public:
    // Maps the table read-only and the row's own page(s) writable; neither descriptor is needed afterwards:
    // close them. Marks the calling thread as the one that counts. Throws std::runtime_error when the row is
    // not `instance`'s, when read_only_fd could be written through, and for two descriptors of different
    // tables.
    CounterRow(int read_only_fd, int read_write_fd, std::uint32_t row, std::uint64_t instance);

    // A column declared by this worker's generation. Throws std::out_of_range for a name that was not
    // declared.
    Counter counter(std::string_view name) const;
    Gauge gauge(std::string_view name) const;
    const CounterReader& reader() const noexcept { return reader_; }

  private:
    std::uint64_t* cell(std::string_view name, CounterKind kind) const;

    CounterReader reader_;
    Mapping row_;
};

}  // namespace drover
