// What single workers have counted: their rows of the table.
#include "core/counters/counter_reader.h"
#include "core/memory/sequence_lock.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

namespace drover {

namespace {

std::shared_ptr<const Mapping> map_row(int fd, std::size_t expected) {
    const std::size_t size = file_size(fd);
    if (size != expected || !is_sealed_against_shrinking(fd))
        throw std::runtime_error(fmt::format("counter table: a row cannot have {} bytes", size));
    auto row = std::make_shared<const Mapping>(map_shared_read_only(fd, 0, size));
    row->keep_from_children();
    return row;
}

}  // namespace

std::optional<std::uint64_t> CounterReader::rows_wanted() const noexcept {
    const std::uint64_t now = view_.header().rows_sequence.load(std::memory_order_acquire);
    return now == rows_sequence_ ? std::nullopt : std::optional(rows_sequence_);
}

void CounterReader::attach(RowBatch batch) const {
    std::erase_if(rows_, [this](const Row& row) {
        return view_.row_entry(row.ticket.row).instance.load(std::memory_order_acquire) !=
               row.ticket.instance;
    });
    for (RowBatch::Row& row : batch.rows) {
        if (row.ticket.row >= row_count())
            throw std::runtime_error(
                fmt::format("counter table: there is no row {} of {}", row.ticket.row, row_count()));
        if (row.ticket.order <= rows_sequence_) continue;  // it is here already
        if (row.cells == nullptr) row.cells = map_row(row.fd.get(), view_.layout().row_size);
        row.fd.reset();
        rows_sequence_ = row.ticket.order;
        rows_.push_back({row.ticket, std::move(row.cells)});
    }
    rows_sequence_ = std::max(rows_sequence_, batch.sequence);
}

// Rows may come as fast as they are asked for.
void CounterReader::ask_for_rows() const {
    constexpr unsigned most_batches = 2048;
    if (!source_) return;
    for (unsigned asked = 0; asked < most_batches && rows_wanted(); ++asked) {
        const std::uint64_t before = rows_sequence_;
        try {
            attach(source_(before));
        } catch (const std::runtime_error&) {
            return;
        }
        if (rows_sequence_ == before) return;
    }
}

const CounterReader::Row* CounterReader::row_of(std::uint64_t instance) const noexcept {
    const auto found = std::ranges::find(rows_, instance, [](const Row& row) { return row.ticket.instance; });
    return found == rows_.end() ? nullptr : &*found;
}

// Whether what was read of it so far was a living worker's.
bool CounterReader::is_live(const Row& row) const noexcept {
    std::atomic_thread_fence(std::memory_order_acquire);
    const RowEntry& entry = view_.row_entry(row.ticket.row);
    // The mark first: once it is taken away the instance is gone as well.
    const bool marked = entry.folded.load(std::memory_order_acquire) != 0;
    return !marked && entry.instance.load(std::memory_order_relaxed) == row.ticket.instance;
}

// Comes after is_live, whose fence it needs.
bool CounterReader::still(std::uint64_t sequence) const noexcept {
    return view_.header().columns_sequence.load(std::memory_order_relaxed) == sequence;
}

std::optional<std::uint64_t> CounterReader::value_of(std::uint64_t instance, std::string_view name) const {
    ask_for_rows();
    for (unsigned tries = 0; tries < read_tries; pause_before_retry(++tries)) {
        const Found plain = find_plain(name);
        const Row* const row = row_of(instance);
        if (!plain.column || row == nullptr) return std::nullopt;
        const std::uint64_t value = load_cell(row->cells()[plain.column->cells.first]);
        const std::uint64_t taken_at =
            view_.row_entry(row->ticket.row).taken_at.load(std::memory_order_relaxed);
        if (!is_live(*row)) return std::nullopt;
        if (still(plain.sequence))
            return plain.column->reused_at <= taken_at ? std::optional(value) : std::nullopt;
    }
    give_up();
}

CounterReader::WorkerRows CounterReader::worker_rows(const WantedColumns& wanted) const {
    ask_for_rows();
    for (unsigned tries = 0; tries < read_tries; pause_before_retry(++tries)) {
        LiveColumns live = live_columns();
        WorkerRows rows;
        std::vector<CellRange> ranges;
        for (std::size_t i = 0; i < live.sums.size(); ++i) {
            if (!wanted(live.sums[i])) continue;
            rows.columns.push_back(std::move(live.sums[i]));
            rows.places.push_back({rows.row_size, live.cells[i].count, live.reused_at[i]});
            rows.row_size += live.cells[i].count;
            ranges.push_back(live.cells[i]);
        }
        const std::vector<CellRange> runs = joined(ranges);
        rows.cells.reserve(rows.row_size * rows_.size());
        for (const Row& row : rows_)
            add_row(row, runs, rows);
        std::atomic_thread_fence(std::memory_order_acquire);
        if (still(live.sequence)) return rows;
    }
    give_up();
}

// Nothing when it is no worker's, or was not all the while.
void CounterReader::add_row(const Row& row, std::span<const CellRange> runs, WorkerRows& rows) const {
    const RowEntry& entry = view_.row_entry(row.ticket.row);
    std::uint64_t pool = 0;
    load_words(&pool, entry.pool, sizeof pool);
    if (pool == 0 || !is_live(row)) return;
    const std::size_t before = rows.cells.size();
    const std::uint64_t* const cells = row.cells();
    rows.cells.resize(before + rows.row_size);
    std::uint64_t* to = rows.cells.data() + before;
    for (const CellRange& run : runs) {
        for (const std::uint64_t* cell = cells + run.first; cell != cells + run.first + run.count; ++cell)
            *to++ = load_cell(*cell);
    }
    const std::uint64_t taken_at = entry.taken_at.load(std::memory_order_relaxed);
    if (is_live(row))
        rows.rows.push_back({row.ticket.instance, taken_at});
    else
        rows.cells.resize(before);
}

std::vector<CounterReader::WorkerValue> CounterReader::each_worker(std::string_view name) const {
    ask_for_rows();
    for (unsigned tries = 0; tries < read_tries; pause_before_retry(++tries)) {
        const Found plain = find_plain(name);
        std::vector<WorkerValue> values;
        if (!plain.column) return values;
        for (const Row& row : rows_) {
            if (auto value = worker_value(row, *plain.column)) values.push_back(std::move(*value));
        }
        std::atomic_thread_fence(std::memory_order_acquire);
        if (still(plain.sequence)) return values;
    }
    give_up();
}

std::optional<CounterReader::WorkerValue> CounterReader::worker_value(const Row& row,
                                                                      const FoundColumn& column) const {
    const RowEntry& entry = view_.row_entry(row.ticket.row);
    WorkerValue value;
    value.instance = row.ticket.instance;
    char pool[sizeof entry.pool];
    load_words(pool, entry.pool, sizeof pool);
    value.pool = bounded_text(pool);
    value.slot = entry.slot.load(std::memory_order_relaxed);
    value.pid = entry.pid.load(std::memory_order_relaxed);
    value.generation = entry.generation.load(std::memory_order_relaxed);
    value.value = static_cast<std::int64_t>(load_cell(row.cells()[column.cells.first]));
    const bool known = column.reused_at <= entry.taken_at.load(std::memory_order_relaxed);
    if (!is_live(row) || value.pool.empty() || !known) return std::nullopt;
    return value;
}

}  // namespace drover
