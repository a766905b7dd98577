#include "core/counters/counter_row.h"

#include "core/base/system_error.h"

#include <stdexcept>

#include <fcntl.h>
#include <fmt/format.h>

namespace drover {

namespace {

void check_read_only(int fd) {
    const int flags = check_call(::fcntl(fd, F_GETFL), "fcntl", "F_GETFL on the counter table");
    if ((flags & O_ACCMODE) != O_RDONLY)
        throw std::runtime_error("counter row: the table's descriptor is not read-only");
}

Mapping map_row(const CounterReader& table, int fd, std::uint32_t row, std::uint64_t instance) {
    const TableLayout& layout = table.layout();
    if (row >= layout.row_count) {
        throw std::runtime_error(fmt::format("counter row: there is no row {} of {}", row, layout.row_count));
    }
    const std::uint64_t owner = table.instance_of(row);
    if (instance == 0 || owner != instance) {
        throw std::runtime_error(
            fmt::format("counter row: row {} belongs to instance {}, not {}", row, owner, instance));
    }
    if (const std::size_t size = file_size(fd); size != layout.row_size) {
        throw std::runtime_error(
            fmt::format("counter row: it has {} bytes, those of the table {}", size, layout.row_size));
    }
    Mapping mapping = map_shared_writable(fd, 0, layout.row_size);
    // From here on this mapping is the only way to write. Nor can anybody punch a hole into the row: reading
    // there would need new memory, and without it be SIGBUS.
    check_call(::fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL), "fcntl",
               "F_ADD_SEALS on a counter row");
    // A child of the worker would be a second writer.
    mapping.keep_from_children();
    return mapping;
}

}  // namespace

CounterRow::CounterRow(int table_fd, int row_fd, std::uint32_t row, std::uint64_t instance)
    : table_(table_fd), row_(map_row(table_, row_fd, row, instance)) {
    check_read_only(table_fd);
    detail::counting_thread = true;
}

Counter CounterRow::counter(std::string_view name, const Labels& labels) const {
    return Counter(cells(CounterKind::counter, name, labels, {}));
}

Gauge CounterRow::gauge(std::string_view name, const Labels& labels) const {
    return Gauge(cells(CounterKind::gauge, name, labels, {}));
}

Histogram CounterRow::histogram(std::string_view name, HistogramBounds bounds, const Labels& labels) const {
    const HistogramScale scale(bounds);
    return Histogram(cells(CounterKind::histogram, name, labels, bounds), scale);
}

std::uint64_t* CounterRow::cells(CounterKind kind, std::string_view name, const Labels& labels,
                                 HistogramBounds bounds) const {
    const std::optional<CounterReader::FoundColumn> column =
        table_.find_key(column_key(kind, name, labels, bounds), next_column_);
    // Columns lie in memory that is not ours: what they say is never more than what we asked for.
    const std::uint32_t wanted = kind == CounterKind::histogram ? HistogramScale(bounds).cells() : 1;
    if (!column || column->cells.count != wanted) {
        throw std::out_of_range(
            fmt::format("no {} {} is declared", to_text(kind), counter_text(name, labels)));
    }
    next_column_ = column->index + 1;
    return static_cast<std::uint64_t*>(row_.data()) + column->cells.first;
}

}  // namespace drover
