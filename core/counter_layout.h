// How the counter table lies in its memfd. One writer a byte: the master writes the header, the columns, the row
// directory, the totals and the status page; a worker writes the cells of its own row and nothing else.
//
//   TableHeader | Column[columns] | RowEntry[rows] | totals[2][columns] | StatusPage | (page) row 0 | row 1 | ...
//
// Readers go by the offsets and strides in the header, not by this program's constants. Every word that changes while
// readers look is a lock-free atomic. Runs in: every process.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace drover {

struct TableHeader {
    static constexpr std::uint64_t expected_magic = 0x31544e5543565244;  // "DRVCUNT1"
    static constexpr std::uint32_t expected_version = 1;

    std::uint64_t magic = expected_magic;
    std::uint32_t version = expected_version;
    std::uint32_t header_size = sizeof(TableHeader);
    std::uint64_t total_size = 0;
    std::uint32_t column_count = 0;  // capacity
    std::uint32_t column_stride = 0;
    std::uint32_t row_count = 0;  // capacity
    std::uint32_t row_entry_stride = 0;
    std::uint64_t columns_offset = 0;
    std::uint64_t row_entries_offset = 0;
    std::uint64_t totals_offset[2] = {0, 0};
    std::uint64_t status_offset = 0;
    std::uint64_t status_size = 0;
    std::uint64_t rows_offset = 0;  // page-aligned
    std::uint64_t row_stride = 0;   // a multiple of the page size
    // Number of the last complete fold; totals[fold % 2] hold the totals. Storing it is the one flip.
    std::atomic<std::uint64_t> fold{0};
    // Even: columns are stable. Odd: the master is changing them.
    std::atomic<std::uint64_t> columns_sequence{0};
};

enum class ColumnState : std::uint32_t { free = 0, live = 1, retired = 2 };

struct Column {
    std::atomic<std::uint32_t> state{0};  // ColumnState
    std::uint32_t kind = 0;               // CounterKind
    char name[96] = {};
    char unit[16] = {};
    char help[144] = {};
};

// Who fills a row. A row counts for a reader that saw fold number F when `instance` is not 0 and (`folded` is 0 or above F).
struct RowEntry {
    std::atomic<std::uint64_t> instance{0};  // 0: the row is free
    std::atomic<std::uint64_t> folded{0};    // the number of the fold that took it into the totals, or 0
    std::atomic<std::uint64_t> generation{0};
    std::atomic<std::uint32_t> pid{0};
    std::atomic<std::uint32_t> slot{0};
    char pool[64] = {};
};

}  // namespace drover
