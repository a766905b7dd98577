#include "core/counter_table.h"
#include "core/sequence_lock.h"

#include <stdexcept>

#include <fcntl.h>
#include <fmt/format.h>

namespace drover {

namespace {

Mapping map_table(int fd) {
    const std::size_t size = file_size(fd);
    if (size < sizeof(TableHeader)) {
        throw std::runtime_error(fmt::format("counter table: {} bytes are too few", size));
    }
    const int seals = ::fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & F_SEAL_SHRINK) == 0) {
        throw std::runtime_error("counter table: its memory is not sealed against shrinking");
    }
    return map_shared_read_only(fd, 0, size);
}

bool is_live(const Column& column) {
    const CounterKind kind = column_kind(column);
    return column_state(column) == ColumnState::live &&
           (kind == CounterKind::counter || kind == CounterKind::gauge);
}

[[noreturn]] void give_up() {
    throw std::runtime_error(
        "counter table: no consistent sum (its master died in mid-write, or never stops)");
}

}  // namespace

CounterReader::CounterReader(int read_only_fd)
    : mapping_(map_table(read_only_fd)), view_(mapping_.data(), checked_layout(mapping_.bytes())) {}

const StatusPage& CounterReader::status() const noexcept {
    return *view_.at<StatusPage>(view_.layout().status_offset);
}

std::uint64_t CounterReader::instance_of(std::uint32_t row) const noexcept {
    return view_.row_entry(row).instance.load(std::memory_order_acquire);
}

CounterReader::LiveColumns CounterReader::live_columns() const {
    const std::atomic<std::uint64_t>& sequence = view_.header().columns_sequence;
    for (unsigned tries = 0; tries < read_tries; pause_before_retry(++tries)) {
        LiveColumns live;
        live.sequence = sequence.load(std::memory_order_acquire);
        if (live.sequence % 2 != 0) continue;
        for (std::uint32_t index = 0; index < view_.layout().column_count; ++index) {
            const Column& column = view_.column(index);
            if (!is_live(column)) continue;
            ColumnText text;
            load_words(&text, &column.text, sizeof text);
            live.indexes.push_back(index);
            live.sums.push_back({.name = std::string(bounded_text(text.name)),
                                 .kind = column_kind(column),
                                 .unit = std::string(bounded_text(text.unit)),
                                 .help = std::string(bounded_text(text.help)),
                                 .value = 0});
        }
        std::atomic_thread_fence(std::memory_order_acquire);
        if (sequence.load(std::memory_order_relaxed) == live.sequence) return live;
    }
    give_up();
}

// False when a fold came in between. Everything that a fold changes for us comes after its flip, behind a
// fence: who sees any of it sees another fold number at the end.
bool CounterReader::add_up_once(std::span<const std::uint32_t> columns,
                                std::span<std::uint64_t> values) const noexcept {
    const std::atomic<std::uint64_t>& fold_number = view_.header().fold;
    const std::uint64_t fold = fold_number.load(std::memory_order_acquire);
    const std::uint64_t* totals = view_.totals(fold);
    for (std::size_t i = 0; i < columns.size(); ++i)
        values[i] = load_cell(totals[columns[i]]);
    for (std::uint32_t row = 0; row < view_.layout().row_count; ++row) {
        const RowEntry& entry = view_.row_entry(row);
        // Rows never taken have no memory yet, and a look at their cells would give them some.
        if (entry.instance.load(std::memory_order_acquire) == 0) continue;
        const std::uint64_t folded = entry.folded.load(std::memory_order_acquire);
        if (folded != 0 && folded <= fold) continue;
        const std::uint64_t* cells = view_.cells(row);
        for (std::size_t i = 0; i < columns.size(); ++i)
            values[i] += load_cell(cells[columns[i]]);
    }
    std::atomic_thread_fence(std::memory_order_acquire);
    return fold_number.load(std::memory_order_relaxed) == fold;
}

// False when the columns changed since `sequence`.
bool CounterReader::add_up(std::span<const std::uint32_t> columns, std::span<std::uint64_t> values,
                           std::uint64_t sequence) const {
    for (unsigned tries = 0; tries < read_tries; pause_before_retry(++tries)) {
        const bool consistent = add_up_once(columns, values);
        // add_up_once ends with the fence that this needs.
        if (view_.header().columns_sequence.load(std::memory_order_relaxed) != sequence) return false;
        if (consistent) return true;
    }
    give_up();
}

std::vector<CounterReader::Sum> CounterReader::sums() const {
    for (unsigned tries = 0; tries < read_tries; ++tries) {
        LiveColumns live = live_columns();
        std::vector<std::uint64_t> values(live.indexes.size());
        if (!add_up(live.indexes, values, live.sequence)) continue;
        for (std::size_t i = 0; i < values.size(); ++i)
            live.sums[i].value = values[i];
        return std::move(live.sums);
    }
    give_up();
}

std::uint64_t CounterReader::sum(std::string_view name) const {
    for (unsigned tries = 0; tries < read_tries; ++tries) {
        const Found found = find_either(name);
        if (!found.column) return 0;
        std::uint64_t value = 0;
        if (add_up({&*found.column, 1}, {&value, 1}, found.sequence)) return value;
    }
    give_up();
}

std::optional<std::uint64_t> CounterReader::value_of(std::uint64_t instance, std::string_view name) const {
    const Found found = find_either(name);
    if (!found.column || instance == 0) return std::nullopt;
    for (std::uint32_t row = 0; row < view_.layout().row_count; ++row) {
        const RowEntry& entry = view_.row_entry(row);
        if (entry.instance.load(std::memory_order_acquire) != instance) continue;
        const std::uint64_t value = load_cell(view_.cells(row)[*found.column]);
        std::atomic_thread_fence(std::memory_order_acquire);
        // The mark first: once it is taken away the instance is gone as well.
        const bool marked = entry.folded.load(std::memory_order_acquire) != 0;
        if (marked || entry.instance.load(std::memory_order_relaxed) != instance) return std::nullopt;
        return value;
    }
    return std::nullopt;
}

std::optional<std::uint32_t> CounterReader::find_column(std::string_view name,
                                                        CounterKind kind) const noexcept {
    return find(name, kind).column;
}

// A name that was not found only because the columns never stood still is no unknown name: its sum is not 0.
CounterReader::Found CounterReader::find_either(std::string_view name) const {
    Found found = find(name, CounterKind::counter);
    if (found.consistent && !found.column) found = find(name, CounterKind::gauge);
    if (!found.consistent) give_up();
    return found;
}

CounterReader::Found CounterReader::find(std::string_view name, CounterKind kind) const noexcept {
    const std::atomic<std::uint64_t>& sequence = view_.header().columns_sequence;
    for (unsigned tries = 0; tries < read_tries; pause_before_retry(++tries)) {
        Found found;
        found.sequence = sequence.load(std::memory_order_acquire);
        if (found.sequence % 2 != 0) continue;
        found.column = find_once(name, kind);
        std::atomic_thread_fence(std::memory_order_acquire);
        found.consistent = sequence.load(std::memory_order_relaxed) == found.sequence;
        if (found.consistent) return found;
    }
    return {};
}

std::optional<std::uint32_t> CounterReader::find_once(std::string_view name,
                                                      CounterKind kind) const noexcept {
    for (std::uint32_t index = 0; index < view_.layout().column_count; ++index) {
        const Column& column = view_.column(index);
        if (!is_live(column) || column_kind(column) != kind) continue;
        ColumnText text;
        load_words(text.name, column.text.name, sizeof text.name);
        if (bounded_text(text.name) == name) return index;
    }
    return std::nullopt;
}

}  // namespace drover
