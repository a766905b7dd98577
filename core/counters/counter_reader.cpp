#include "core/counters/counter_reader.h"

#include "core/counters/histogram.h"
#include "core/memory/sequence_lock.h"

#include <numeric>
#include <stdexcept>

#include <fmt/format.h>

namespace drover {

namespace {

Mapping map_table(int fd) {
    const std::size_t size = file_size(fd);
    if (size < sizeof(TableHeader)) {
        throw std::runtime_error(fmt::format("counter table: {} bytes are too few", size));
    }
    if (!is_sealed_against_shrinking(fd)) {
        throw std::runtime_error("counter table: its memory is not sealed against shrinking");
    }
    return map_shared_read_only(fd, 0, size);
}

bool is_kind(CounterKind kind) noexcept {
    return kind >= CounterKind::counter && kind <= CounterKind::histogram;
}

bool is_live_column(const Column& column) noexcept {
    return column_state(column) == ColumnState::live && is_kind(column_kind(column));
}

std::size_t count_cells(std::span<const CellRange> columns) noexcept {
    std::size_t count = 0;
    for (const CellRange& cells : columns)
        count += cells.count;
    return count;
}

// Counters and gauges have one cell, a histogram has as many as its bounds say.
bool is_sound(const CounterReader::Sum& sum, CellRange cells) noexcept {
    return is_kind(sum.kind) && cells.count > 0 && cells.count == cells_of(sum);
}

}  // namespace

CounterReader::CounterReader(int read_only_fd, RowSource source)
    : mapping_(map_table(read_only_fd)),
      view_(mapping_.data(), checked_layout(mapping_.bytes())),
      source_(std::move(source)) {
    // The table is large, though mostly empty, and a child's address space may be limited.
    mapping_.keep_from_children();
}

void CounterReader::give_up() {
    throw std::runtime_error(
        "counter table: no consistent sum (its master died in mid-write, or never stops)");
}

double CounterReader::Sum::quantile(double q) const noexcept {
    return drover::quantile(HistogramScale(bounds), buckets, q);
}

const StatusPage& CounterReader::status() const noexcept {
    return *view_.at<StatusPage>(view_.layout().status_offset);
}

std::uint64_t CounterReader::instance_of(std::uint32_t row) const noexcept {
    return view_.row_entry(row).instance.load(std::memory_order_acquire);
}

CounterReader::Sum CounterReader::describe(std::uint32_t index) const {
    const Column& column = view_.column(index);
    ColumnText text;
    load_words(&text, &view_.text(index), sizeof text);
    Sum sum;
    sum.name = bounded_text(text.name);
    sum.kind = column_kind(column);
    sum.unit = bounded_text(text.unit);
    sum.help = bounded_text(text.help);
    sum.labels = decode_labels({text.labels, sizeof text.labels});
    sum.bounds = {column.min.load(std::memory_order_relaxed), column.max.load(std::memory_order_relaxed)};
    sum.per_unit = column.per_unit.load(std::memory_order_relaxed);
    sum.scope = static_cast<CounterScope>(column.scope.load(std::memory_order_relaxed));
    return sum;
}

CounterReader::LiveColumns CounterReader::live_columns() const {
    const std::atomic<std::uint64_t>& sequence = view_.header().columns_sequence;
    for (unsigned tries = 0; tries < read_tries; pause_before_retry(++tries)) {
        LiveColumns live;
        live.sequence = sequence.load(std::memory_order_acquire);
        if (live.sequence % 2 != 0) continue;
        const std::uint32_t used = view_.columns_used();
        live.cells.reserve(used);
        live.sums.reserve(used);
        for (std::uint32_t index = 0; index < used; ++index) {
            if (!is_live_column(view_.column(index))) continue;
            const CellRange cells = column_cells(view_.column(index), view_.layout().cell_count);
            Sum sum = describe(index);
            if (!is_sound(sum, cells)) continue;
            live.cells.push_back(cells);
            live.reused_at.push_back(view_.column(index).reused_at.load(std::memory_order_relaxed));
            live.sums.push_back(std::move(sum));
        }
        std::atomic_thread_fence(std::memory_order_acquire);
        if (sequence.load(std::memory_order_relaxed) == live.sequence) return live;
    }
    give_up();
}

std::vector<CounterReader::Sum> CounterReader::LiveColumns::with(std::span<const std::uint64_t> values) && {
    auto value = values.begin();
    for (std::size_t i = 0; i < sums.size(); ++i) {
        Sum& sum = sums[i];
        (sum.kind == CounterKind::histogram ? sum.sum : sum.value) = *value++;
        sum.buckets.assign(value, value + (cells[i].count - 1));
        value += cells[i].count - 1;
        sum.value = std::accumulate(sum.buckets.begin(), sum.buckets.end(), sum.value);
    }
    return std::move(sums);
}

// Columns mostly lie one behind the other: the same cells in the same order, in fewer and longer runs.
std::vector<CellRange> CounterReader::joined(std::span<const CellRange> columns) {
    std::vector<CellRange> runs;
    for (const CellRange& cells : columns) {
        if (!runs.empty() && runs.back().first + runs.back().count == cells.first)
            runs.back().count += cells.count;
        else
            runs.push_back(cells);
    }
    return runs;
}

// False when a fold came in between. Everything that a fold changes for us comes after its flip, behind a
// fence: who sees any of it sees another fold number at the end.
bool CounterReader::add_up_once(std::span<const CellRange> runs,
                                std::span<std::uint64_t> values) const noexcept {
    const std::atomic<std::uint64_t>& fold_number = view_.header().fold;
    const std::uint64_t fold = fold_number.load(std::memory_order_acquire);
    const auto add = [&](const std::uint64_t* cells) {
        std::uint64_t* value = values.data();
        for (const CellRange& run : runs) {
            for (const std::uint64_t* cell = cells + run.first; cell != cells + run.first + run.count; ++cell)
                *value++ += load_cell(*cell);
        }
    };
    std::ranges::fill(values, 0);
    add(view_.totals(fold));
    for (const Row& row : rows_) {
        const RowEntry& entry = view_.row_entry(row.ticket.row);
        // The mark first: one that has been taken off again comes with another instance.
        const std::uint64_t folded = entry.folded.load(std::memory_order_acquire);
        if (entry.instance.load(std::memory_order_acquire) != row.ticket.instance) continue;
        if (folded != 0 && folded <= fold) continue;
        add(row.cells());
    }
    std::atomic_thread_fence(std::memory_order_acquire);
    return fold_number.load(std::memory_order_relaxed) == fold;
}

// False when the columns changed since `sequence`.
bool CounterReader::add_up(std::span<const CellRange> columns, std::span<std::uint64_t> values,
                           std::uint64_t sequence) const {
    const std::vector<CellRange> runs = joined(columns);
    for (unsigned tries = 0; tries < read_tries; pause_before_retry(++tries)) {
        const bool consistent = add_up_once(runs, values);
        // add_up_once ends with the fence that this needs.
        if (view_.header().columns_sequence.load(std::memory_order_relaxed) != sequence) return false;
        if (consistent) return true;
    }
    give_up();
}

std::vector<CounterReader::Sum> CounterReader::sums() const {
    ask_for_rows();
    for (unsigned tries = 0; tries < read_tries; ++tries) {
        LiveColumns live = live_columns();
        std::vector<std::uint64_t> values(count_cells(live.cells));
        if (add_up(live.cells, values, live.sequence)) return std::move(live).with(values);
    }
    give_up();
}

// The cells of a name's columns that count: of histograms the buckets. False when the columns moved.
bool CounterReader::collect_family(std::string_view name, LiveColumns& family) const {
    const std::atomic<std::uint64_t>& sequence = view_.header().columns_sequence;
    family = {};
    family.sequence = sequence.load(std::memory_order_acquire);
    if (family.sequence % 2 != 0) return false;
    std::uint32_t first_kind = 0;
    const std::uint32_t used = view_.columns_used();
    for (std::uint32_t index = 0; index < used; ++index) {
        const Column& column = view_.column(index);
        if (!is_live_column(column)) continue;
        ColumnText text;
        load_words(text.name, view_.text(index).name, sizeof text.name);
        if (bounded_text(text.name) != name) continue;
        const auto kind = static_cast<std::uint32_t>(column_kind(column));
        if (first_kind != 0 && kind > first_kind) continue;
        if (kind < first_kind) family.cells.clear();
        first_kind = kind;
        CellRange cells = column_cells(column, view_.layout().cell_count);
        if (column_kind(column) == CounterKind::histogram && cells.count > 0)
            cells = {cells.first + 1, cells.count - 1};
        family.cells.push_back(cells);
    }
    std::atomic_thread_fence(std::memory_order_acquire);
    return sequence.load(std::memory_order_relaxed) == family.sequence;
}

std::uint64_t CounterReader::sum(std::string_view name) const {
    ask_for_rows();
    LiveColumns family;
    for (unsigned tries = 0; tries < read_tries; pause_before_retry(++tries)) {
        if (!collect_family(name, family)) continue;
        if (family.cells.empty()) return 0;
        std::vector<std::uint64_t> values(count_cells(family.cells));
        if (!add_up(family.cells, values, family.sequence)) continue;
        return std::accumulate(values.begin(), values.end(), std::uint64_t{0});
    }
    give_up();
}

std::optional<std::uint32_t> CounterReader::find_column(std::string_view name, CounterKind kind,
                                                        const std::vector<CounterLabel>& labels,
                                                        HistogramBounds bounds) const noexcept {
    const std::optional<FoundColumn> found = find_key(column_key(kind, name, labels, bounds));
    return found ? std::optional(found->index) : std::nullopt;
}

std::optional<CounterReader::FoundColumn> CounterReader::find_key(std::uint64_t key,
                                                                  std::uint32_t hint) const noexcept {
    return find(key, hint).column;
}

// A name that was not found only because the columns never stood still is no unknown name: its value is not
// nothing.
CounterReader::Found CounterReader::find_plain(std::string_view name) const {
    Found found = find(column_key(CounterKind::counter, name, {}, {}), 0);
    if (found.consistent && !found.column) found = find(column_key(CounterKind::gauge, name, {}, {}), 0);
    if (!found.consistent) give_up();
    return found;
}

CounterReader::Found CounterReader::find(std::uint64_t key, std::uint32_t hint) const noexcept {
    const std::atomic<std::uint64_t>& sequence = view_.header().columns_sequence;
    for (unsigned tries = 0; tries < read_tries; pause_before_retry(++tries)) {
        Found found;
        found.sequence = sequence.load(std::memory_order_acquire);
        if (found.sequence % 2 != 0) continue;
        found.column = find_once(key, hint);
        std::atomic_thread_fence(std::memory_order_acquire);
        found.consistent = sequence.load(std::memory_order_relaxed) == found.sequence;
        if (found.consistent) return found;
    }
    return {};
}

std::optional<CounterReader::FoundColumn> CounterReader::find_once(std::uint64_t key,
                                                                   std::uint32_t hint) const noexcept {
    const std::uint32_t used = view_.columns_used();
    for (std::uint32_t i = 0; i < used; ++i) {
        const std::uint32_t index = (hint % used + i) % used;
        const Column& column = view_.column(index);
        if (column.key.load(std::memory_order_relaxed) != key || !is_live_column(column)) continue;
        const CellRange cells = column_cells(column, view_.layout().cell_count);
        if (cells.count > 0)
            return FoundColumn{index, cells, column.reused_at.load(std::memory_order_relaxed)};
    }
    return std::nullopt;
}

}  // namespace drover
