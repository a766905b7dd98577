#include "core/counter_row.h"

#include "core/system_error.h"

#include <stdexcept>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

namespace drover {

namespace {

void check_descriptors(int read_only_fd, int read_write_fd) {
    const int flags = check_call(::fcntl(read_only_fd, F_GETFL), "fcntl", "F_GETFL on the counter table");
    if ((flags & O_ACCMODE) != O_RDONLY) {
        throw std::runtime_error("counter row: the table's descriptor is not read-only");
    }
    struct stat read_only {};
    struct stat read_write {};
    check_call(::fstat(read_only_fd, &read_only), "fstat", "counter table");
    check_call(::fstat(read_write_fd, &read_write), "fstat", "counter row");
    if (read_only.st_dev != read_write.st_dev || read_only.st_ino != read_write.st_ino) {
        throw std::runtime_error("counter row: the two descriptors are of different tables");
    }
}

Mapping map_row(const CounterReader& reader, int read_only_fd, int read_write_fd, std::uint32_t row,
                std::uint64_t instance) {
    check_descriptors(read_only_fd, read_write_fd);
    const TableLayout& layout = reader.layout();
    if (row >= layout.row_count) {
        throw std::runtime_error(fmt::format("counter row: there is no row {} of {}", row, layout.row_count));
    }
    const std::uint64_t owner = reader.instance_of(row);
    if (instance == 0 || owner != instance) {
        throw std::runtime_error(
            fmt::format("counter row: row {} belongs to instance {}, not {}", row, owner, instance));
    }
    Mapping mapping =
        map_shared_writable(read_write_fd, layout.rows_offset + row * layout.row_stride, layout.row_stride);
    // A child of the worker would be a second writer.
    mapping.keep_from_children();
    return mapping;
}

}  // namespace

CounterRow::CounterRow(int read_only_fd, int read_write_fd, std::uint32_t row, std::uint64_t instance)
    : reader_(read_only_fd), row_(map_row(reader_, read_only_fd, read_write_fd, row, instance)) {
    detail::counting_thread = true;
    // A reader that still holds the row for its last owner's, and sees a count of ours in it, must see the
    // fold that lies between: our relaxed stores carry this fence, and with it all that the master did before
    // we were started.
    std::atomic_thread_fence(std::memory_order_release);
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
        reader_.find_key(column_key(kind, name, labels, bounds), next_column_);
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
