#include "core/counter_table.h"
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

Counter CounterRow::counter(std::string_view name) const {
    return Counter(cell(name, CounterKind::counter));
}

Gauge CounterRow::gauge(std::string_view name) const {
    return Gauge(cell(name, CounterKind::gauge));
}

std::uint64_t* CounterRow::cell(std::string_view name, CounterKind kind) const {
    const std::optional<std::uint32_t> column = reader_.find_column(name, kind);
    if (!column) {
        throw std::out_of_range(fmt::format("no {} \"{}\" is declared",
                                            kind == CounterKind::counter ? "counter" : "gauge", name));
    }
    return static_cast<std::uint64_t*>(row_.data()) + *column;
}

}  // namespace drover
