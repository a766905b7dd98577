#include "core/counters/counter_layout.h"

#include "core/memory/sequence_lock.h"
#include "core/protocol/status_page.h"

#include <stdexcept>
#include <string>

#include <fmt/format.h>
#include <unistd.h>

namespace drover {

namespace {

constexpr std::uint32_t most_cells = 262144;
constexpr std::uint32_t most_rows = 65536;
constexpr std::uint64_t cell_size = sizeof(std::uint64_t);

std::uint64_t page_size() {
    return static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) {
    return (value + unit - 1) / unit * unit;
}

[[noreturn]] void refuse(const std::string& why) {
    throw std::runtime_error("counter table: " + why);
}

// `count` elements of `stride` bytes lie behind the header, each large enough and aligned.
void check_section(const TableLayout& layout, const char* what, std::uint64_t offset, std::uint64_t count,
                   std::uint64_t stride, std::uint64_t element_size) {
    if (offset % 8 != 0 || stride % 8 != 0) refuse(fmt::format("{} are not aligned", what));
    if (stride < element_size) {
        refuse(fmt::format("{} are {} bytes each, expected at least {}", what, stride, element_size));
    }
    if (offset < sizeof(TableHeader)) refuse(fmt::format("{} overlap the header", what));
    // Counts and strides stay below 2^32 here, so that the product cannot overflow.
    if (offset > layout.total_size || count * stride > layout.total_size - offset) {
        refuse(fmt::format("{} reach beyond the end", what));
    }
}

void check_row_size(const TableLayout& layout) {
    if (layout.row_size % page_size() != 0) refuse("rows are not whole pages");
    if (layout.row_size < layout.cell_count * cell_size) {
        refuse(fmt::format("rows of {} bytes cannot hold {} cells", layout.row_size, layout.cell_count));
    }
}

}  // namespace

TableLayout plan_layout(std::uint32_t cells, std::uint32_t rows) {
    if (cells == 0 || cells > most_cells || rows == 0 || rows > most_rows) {
        throw std::length_error(fmt::format("a counter table cannot have {} cells and {} rows", cells, rows));
    }
    constexpr std::uint64_t cache_line = 64;
    TableLayout layout;
    layout.column_count = cells;
    layout.column_stride = sizeof(Column);
    layout.cell_count = cells;
    layout.text_stride = sizeof(ColumnText);
    layout.row_count = rows;
    layout.row_entry_stride = sizeof(RowEntry);
    std::uint64_t end = sizeof(TableHeader);
    const auto place = [&end](std::uint64_t size) {
        const std::uint64_t offset = round_up(end, cache_line);
        end = offset + size;
        return offset;
    };
    layout.row_entries_offset = place(std::uint64_t{rows} * sizeof(RowEntry));
    layout.status_size = StatusPage::size_for(rows);
    layout.status_offset = place(layout.status_size);
    layout.columns_offset = place(std::uint64_t{cells} * sizeof(Column));
    layout.totals_offset[0] = place(cells * cell_size);
    layout.totals_offset[1] = place(cells * cell_size);
    layout.texts_offset = place(std::uint64_t{cells} * sizeof(ColumnText));
    layout.row_size = round_up(cells * cell_size, page_size());
    layout.total_size = round_up(end, page_size());
    return layout;
}

TableLayout checked_layout(std::span<const std::byte> table) {
    if (table.size() < sizeof(TableHeader)) refuse(fmt::format("{} bytes are too few", table.size()));
    // Read once: what is checked is what is used, whoever writes there meanwhile.
    struct Fixed {
        std::uint64_t magic;
        std::uint32_t version;
        std::uint32_t header_size;
        TableLayout layout;
    } header;
    static_assert(sizeof header == offsetof(TableHeader, fold));
    load_words(&header, table.data(), sizeof header);
    const TableLayout& layout = header.layout;
    if (header.magic != TableHeader::expected_magic) refuse("this is no counter table (wrong magic number)");
    if (header.version != TableHeader::expected_version) {
        refuse(fmt::format("version {} is not known here, expected {}", header.version,
                           TableHeader::expected_version));
    }
    if (header.header_size < sizeof(TableHeader)) {
        refuse(fmt::format("the header has {} bytes, expected at least {}", header.header_size,
                           sizeof(TableHeader)));
    }
    if (layout.total_size != table.size()) {
        refuse(fmt::format("it claims {} bytes and has {}", layout.total_size, table.size()));
    }
    if (layout.column_count == 0 || layout.column_count > most_cells || layout.cell_count == 0 ||
        layout.cell_count > most_cells || layout.row_count == 0 || layout.row_count > most_rows) {
        refuse(fmt::format("{} columns, {} cells and {} rows are out of bounds", layout.column_count,
                           layout.cell_count, layout.row_count));
    }
    check_row_size(layout);
    check_section(layout, "columns", layout.columns_offset, layout.column_count, layout.column_stride,
                  sizeof(Column));
    check_section(layout, "column texts", layout.texts_offset, layout.column_count, layout.text_stride,
                  sizeof(ColumnText));
    check_section(layout, "row entries", layout.row_entries_offset, layout.row_count, layout.row_entry_stride,
                  sizeof(RowEntry));
    for (const std::uint64_t offset : layout.totals_offset) {
        check_section(layout, "totals", offset, layout.cell_count, cell_size, cell_size);
    }
    check_section(layout, "status pages", layout.status_offset, 1, layout.status_size,
                  StatusPage::size_for(layout.row_count));
    return layout;
}

}  // namespace drover
