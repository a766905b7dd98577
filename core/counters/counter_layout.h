// How the counter table lies in its memfd, which the master alone can write (F_SEAL_FUTURE_WRITE): header,
// row directory, status page, columns and the totals of the dead. The counts of a worker lie in a memfd of
// its own, its row: layout.row_size bytes of cells, which the worker alone writes. A row is new for each
// worker process and never used again.
//
//   TableHeader | RowEntry[rows] | StatusPage | Column[columns] | totals[2][cells] | ColumnText[columns]
//
// A column is one declaration; it owns consecutive cells of every row: one, or those of a histogram. From the
// columns on, memory is touched as far as columns_used and cells_used of the header say, and no further: it
// costs nothing before. Readers go by the offsets and strides in the header, not by this program's constants,
// and by their own checked copy of them. Every word that changes while readers look is a lock-free atomic.
// Runs in: every process.
#pragma once

#include "core/counters/counter.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

namespace drover {

// Where everything lies. Fixed when the table is made; each process works with its own checked copy.
struct TableLayout {
    std::uint64_t total_size = 0;
    std::uint32_t column_count = 0;  // capacity
    std::uint32_t column_stride = 0;
    std::uint32_t cell_count = 0;  // capacity of a row
    std::uint32_t text_stride = 0;
    std::uint32_t row_count = 0;  // capacity
    std::uint32_t row_entry_stride = 0;
    std::uint64_t columns_offset = 0;
    std::uint64_t texts_offset = 0;
    std::uint64_t row_entries_offset = 0;
    std::uint64_t totals_offset[2] = {0, 0};
    std::uint64_t status_offset = 0;
    std::uint64_t status_size = 0;  // at least StatusPage::size_for(row_count)
    std::uint64_t row_size = 0;     // of a row's memfd: a multiple of the page size
};

struct TableHeader {
    static constexpr std::uint64_t expected_magic = 0x31544e5543565244;  // "DRVCUNT1"
    static constexpr std::uint32_t expected_version = 4;

    std::uint64_t magic = expected_magic;
    std::uint32_t version = expected_version;
    std::uint32_t header_size = sizeof(TableHeader);
    TableLayout layout;
    // Number of the last complete fold; totals[fold % 2] hold the totals. Storing it is the one flip.
    std::atomic<std::uint64_t> fold{0};
    // Even: columns are stable. Odd: the master is changing them.
    std::atomic<std::uint64_t> columns_sequence{0};
    // Grows with each row that is taken or folded: who has seen this number, and has the rows that were live
    // then, has all.
    std::atomic<std::uint64_t> rows_sequence{0};
    // No column and no cell at or above these was ever in use.
    std::atomic<std::uint32_t> columns_used{0};
    std::atomic<std::uint32_t> cells_used{0};
};

enum class ColumnState : std::uint32_t { free = 0, live = 1, retired = 2 };

// Zeroed memory is a free column. The cells and totals of a free column mean nothing.
struct Column {
    std::atomic<std::uint32_t> state{0};  // ColumnState
    std::atomic<std::uint32_t> kind{0};   // CounterKind
    std::atomic<std::uint32_t> first_cell{0};
    std::atomic<std::uint32_t> cell_count{0};
    std::atomic<std::uint64_t> key{0};  // column_key of the declaration
    std::atomic<std::uint64_t> min{0};  // HistogramBounds
    std::atomic<std::uint64_t> max{0};
    std::atomic<std::uint32_t> per_unit{0};
    std::atomic<std::uint32_t> scope{0};  // CounterScope
    // The columns_sequence (odd) at which it was given cells that still held what living workers had counted
    // by a former column; 0: it found them empty. The counts that are left in these rows are taken off the
    // totals.
    std::atomic<std::uint64_t> reused_at{0};
};

// Apart from the columns, so that who looks a column up by its key touches few pages. Each ends in a zero
// byte.
struct ColumnText {
    char name[96] = {};
    char unit[16] = {};
    char help[144] = {};
    char labels[label_text_size] = {};  // encode_labels
};

// Says whose row it is that a reader may have mapped. It counts for a reader that saw fold number F when
// `instance` is the row's and (`folded` is 0 or above F). Zeroed memory is a free entry.
struct RowEntry {
    std::atomic<std::uint64_t> instance{0};  // 0: free
    std::atomic<std::uint64_t> folded{0};    // the number of the fold that took it into the totals, or 0
    std::atomic<std::uint64_t> generation{0};
    std::atomic<std::uint32_t> pid{0};
    std::atomic<std::uint32_t> slot{0};
    // The columns_sequence when it was taken: of columns that are reused later it holds a former one's rest.
    std::atomic<std::uint64_t> taken_at{0};
    char pool[64] = {};
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free &&
              std::atomic<std::uint32_t>::is_always_lock_free);
static_assert(sizeof(ColumnText) % 8 == 0 && sizeof(Column) % 8 == 0 && offsetof(RowEntry, pool) % 8 == 0);

// For this machine's page size, with a column for each cell. Throws std::length_error for no cell, more
// than 262144, no row, or more than 65536.
TableLayout plan_layout(std::uint32_t cells, std::uint32_t rows);

// A copy of the layout that `table` (a whole table, mapped) claims, checked so that every access by it stays
// inside. Throws std::runtime_error that says what is wrong.
TableLayout checked_layout(std::span<const std::byte> table);

// Access by a checked layout. Byte: std::byte, or const std::byte for a read-only mapping.
template <class Byte>
class TableView {
    template <class T>
    using Like = std::conditional_t<std::is_const_v<Byte>, const T, T>;

  public:
    TableView(void* table, const TableLayout& layout) noexcept
        : base_(static_cast<Byte*>(table)), layout_(layout) {}

    const TableLayout& layout() const noexcept { return layout_; }
    Like<TableHeader>& header() const noexcept { return *at<TableHeader>(0); }
    Like<Column>& column(std::uint32_t index) const noexcept {
        return *at<Column>(layout_.columns_offset + std::uint64_t{index} * layout_.column_stride);
    }
    Like<ColumnText>& text(std::uint32_t index) const noexcept {
        return *at<ColumnText>(layout_.texts_offset + std::uint64_t{index} * layout_.text_stride);
    }
    Like<RowEntry>& row_entry(std::uint32_t row) const noexcept {
        return *at<RowEntry>(layout_.row_entries_offset + std::uint64_t{row} * layout_.row_entry_stride);
    }
    Like<std::uint64_t>* totals(std::uint64_t fold) const noexcept {
        return at<std::uint64_t>(layout_.totals_offset[fold % 2]);
    }
    std::uint32_t columns_used() const noexcept {
        return std::min(header().columns_used.load(std::memory_order_relaxed), layout_.column_count);
    }
    template <class T>
    Like<T>* at(std::uint64_t offset) const noexcept {
        return reinterpret_cast<Like<T>*>(base_ + offset);
    }

  private:
    Byte* base_;
    TableLayout layout_;
};

// Up to the zero byte, or all of it.
template <std::size_t Size>
std::string_view bounded_text(const char (&text)[Size]) noexcept {
    return {text, ::strnlen(text, Size)};
}

// Copies what fits before the zero byte at the end of `to`, which is all zero.
template <std::size_t Size>
void copy_text(char (&to)[Size], std::string_view from) noexcept {
    std::memcpy(to, from.data(), std::min(from.size(), Size - 1));
}

inline ColumnState column_state(const Column& column) noexcept {
    return static_cast<ColumnState>(column.state.load(std::memory_order_relaxed));
}
inline CounterKind column_kind(const Column& column) noexcept {
    return static_cast<CounterKind>(column.kind.load(std::memory_order_relaxed));
}

// A run of cells; empty when `column` names cells that no row has.
struct CellRange {
    std::uint32_t first = 0;
    std::uint32_t count = 0;
};
inline CellRange column_cells(const Column& column, std::uint32_t cell_count) noexcept {
    const CellRange range{column.first_cell.load(std::memory_order_relaxed),
                          column.cell_count.load(std::memory_order_relaxed)};
    const bool inside = range.first < cell_count && range.count <= cell_count - range.first;
    return inside ? range : CellRange{};
}

inline std::uint64_t load_cell(const std::uint64_t& cell) noexcept {
    return __atomic_load_n(&cell, __ATOMIC_RELAXED);
}
inline void store_cell(std::uint64_t& cell, std::uint64_t value) noexcept {
    __atomic_store_n(&cell, value, __ATOMIC_RELAXED);
}

}  // namespace drover
