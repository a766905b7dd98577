#include "core/counters/counter_layout.h"

#include "tests/core/counters/counter_fixture.h"

#include <algorithm>
#include <functional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace drover;
using namespace drover::test;

namespace {

// What reading this memory as a table is refused with; empty when it is accepted.
std::string refusal(int fd) {
    try {
        const CounterReader reader(fd);
        (void)reader.sums();
        return {};
    } catch (const std::runtime_error& error) {
        return error.what();
    }
}

// The same after `damage` was done to the header of a sound table.
std::string refusal_after(const std::function<void(TableHeader&)>& damage) {
    const TableCopy table(CounterTable({.cells = 8, .rows = 4}));
    damage(table.header());
    return refusal(table.fd.get());
}

UniqueFd sealed_memory(std::size_t size) {
    UniqueFd fd = create_memfd("counter-layout-test", size, true);
    REQUIRE(::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK) == 0);
    return fd;
}

bool says(const std::string& text, const char* part) {
    CAPTURE(text);
    CAPTURE(part);
    const bool found = text.find(part) != std::string::npos;
    CHECK(found);
    return found;
}

}  // namespace

TEST_CASE("counter_layout: a plan is disjoint, aligned, and passes its own check") {
    for (const std::uint32_t columns : {1U, 8U, 504U, 512U, 513U, 65536U, 262144U}) {
        for (const std::uint32_t rows : {1U, 64U, 512U}) {
            const TableLayout layout = plan_layout(columns, rows);
            CHECK(layout.row_entries_offset >= sizeof(TableHeader));
            CHECK(layout.status_offset >= layout.row_entries_offset + rows * sizeof(RowEntry));
            CHECK(layout.columns_offset >= layout.status_offset + layout.status_size);
            CHECK(layout.totals_offset[0] >= layout.columns_offset + columns * sizeof(Column));
            CHECK(layout.totals_offset[1] >= layout.totals_offset[0] + columns * 8);
            CHECK(layout.texts_offset >= layout.totals_offset[1] + columns * 8);
            CHECK(layout.total_size >= layout.texts_offset + columns * sizeof(ColumnText));
            CHECK(layout.total_size % 4096 == 0);
            CHECK(layout.row_size % 4096 == 0);
            CHECK(layout.row_size >= columns * 8);
        }
    }
    CHECK(plan_layout(504, 1).row_size == static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)));
    CHECK_THROWS_AS(plan_layout(0, 1), std::length_error);
    CHECK_THROWS_AS(plan_layout(1, 0), std::length_error);
    CHECK_THROWS_AS(plan_layout(262145, 1), std::length_error);
    CHECK_THROWS_AS(plan_layout(1, 65537), std::length_error);
}

TEST_CASE("counter_layout: the table's memory is private, sealed, sparse, and writable for nobody else") {
    const CounterTable table;
    CHECK(refusal(table.read_only_fd()).empty());
    struct stat status {};
    REQUIRE(::fstat(table.read_only_fd(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0600);
    CHECK(::fcntl(table.read_only_fd(), F_GET_SEALS) ==
          (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | F_SEAL_FUTURE_WRITE));
    CHECK((::fcntl(table.read_only_fd(), F_GETFL) & O_ACCMODE) == O_RDONLY);
    // Columns that nobody took have no memory.
    const TableLayout layout = plan_layout(CounterCapacity{}.cells, CounterCapacity{}.rows);
    CHECK(static_cast<std::uint64_t>(status.st_size) == layout.total_size);
    CHECK(static_cast<std::uint64_t>(status.st_blocks) * 512 == (layout.columns_offset + 4095) / 4096 * 4096);

    // The same user may open it again, and gets nothing from that.
    const std::string path = "/proc/self/fd/" + std::to_string(table.read_only_fd());
    const UniqueFd again(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    REQUIRE(again);
    CHECK(::ftruncate(again.get(), 0) == -1);
    CHECK(::ftruncate(again.get(), status.st_size + 4096) == -1);
    CHECK(::pwrite(again.get(), "x", 1, 0) == -1);
    CHECK(::fallocate(again.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == -1);
    CHECK_THROWS_AS(map_shared_writable(again.get(), 0, 4096), std::system_error);
    const Mapping mapping = map_shared_read_only(again.get(), 0, 4096);
    CHECK(::mprotect(mapping.data(), 4096, PROT_READ | PROT_WRITE) == -1);
    CHECK(refusal(table.read_only_fd()).empty());
}

TEST_CASE("counter_layout: a damaged header is refused with its reason") {
    CHECK(refusal_after([](TableHeader&) {}).empty());
    says(refusal_after([](TableHeader& h) { h.magic = 1; }), "magic");
    says(refusal_after([](TableHeader& h) { h.version = 9; }), "version 9");
    says(refusal_after([](TableHeader& h) { h.header_size = 8; }), "header has 8 bytes");
    says(refusal_after([](TableHeader& h) { h.layout.total_size += 4096; }), "it claims");
    says(refusal_after([](TableHeader& h) { h.layout.column_count = 0; }), "out of bounds");
    says(refusal_after([](TableHeader& h) { h.layout.column_count = 0xffffffff; }), "out of bounds");
    says(refusal_after([](TableHeader& h) { h.layout.cell_count = 0; }), "out of bounds");
    says(refusal_after([](TableHeader& h) { h.layout.cell_count = 60000; }), "cannot hold 60000 cells");
    says(refusal_after([](TableHeader& h) { h.layout.column_count = 512; }), "columns reach beyond the end");
    says(refusal_after([](TableHeader& h) { h.layout.text_stride = 8; }), "column texts are 8 bytes each");
    says(refusal_after([](TableHeader& h) { h.layout.texts_offset = h.layout.total_size - 8; }),
         "column texts reach beyond");
    says(refusal_after([](TableHeader& h) { h.layout.column_stride = 8; }), "columns are 8 bytes each");
    says(refusal_after([](TableHeader& h) { h.layout.column_stride += 4; }), "columns are not aligned");
    says(refusal_after([](TableHeader& h) { h.layout.column_stride = 0xfffffff8; }), "columns reach beyond");
    says(refusal_after([](TableHeader& h) { h.layout.columns_offset = 0; }), "columns overlap the header");
    says(refusal_after([](TableHeader& h) { h.layout.columns_offset = ~std::uint64_t{7}; }), "columns reach");
    says(refusal_after([](TableHeader& h) { h.layout.row_count = 0; }), "out of bounds");
    says(refusal_after([](TableHeader& h) { h.layout.row_count = 60000; }), "row entries reach beyond");
    says(refusal_after([](TableHeader& h) { h.layout.row_entry_stride = 16; }), "row entries are 16 bytes");
    says(refusal_after([](TableHeader& h) { h.layout.row_entries_offset += 4; }),
         "row entries are not aligned");
    says(refusal_after([](TableHeader& h) { h.layout.row_entries_offset = h.layout.total_size - 8; }),
         "row entries reach beyond");
    says(refusal_after([](TableHeader& h) { h.layout.totals_offset[1] = h.layout.total_size; }),
         "totals reach beyond");
    says(refusal_after([](TableHeader& h) { h.layout.totals_offset[0] = 1 << 30; }), "totals reach beyond");
    says(refusal_after([](TableHeader& h) { h.layout.status_size = 64; }), "status pages are 64 bytes");
    says(refusal_after([](TableHeader& h) { h.layout.status_size = ~std::uint64_t{7}; }),
         "status pages reach");
    says(refusal_after([](TableHeader& h) { h.layout.status_offset = ~std::uint64_t{7}; }),
         "status pages reach");
    says(refusal_after([](TableHeader& h) { h.layout.row_size += 8; }), "whole pages");
    says(refusal_after([](TableHeader& h) { h.layout.row_size = 0; }), "rows of 0 bytes");
}

TEST_CASE("counter_layout: memory that is no table is refused") {
    says(refusal(create_memfd("counter-layout-test", 8192, true).get()), "not sealed");
    says(refusal(sealed_memory(0).get()), "0 bytes are too few");
    says(refusal(sealed_memory(sizeof(TableHeader) - 1).get()), "too few");
    says(refusal(sealed_memory(8192).get()), "magic");
}

TEST_CASE(
    "counter_layout: random bytes in header, directory and columns never make a reader leave its mapping") {
    std::mt19937_64 random(20240607);
    CounterTable table({.cells = 8, .rows = 4});
    take(table, 1);
    const TableCopy copy(table);
    auto* bytes = static_cast<unsigned char*>(copy.mapping.data());
    const std::vector<unsigned char> sound(bytes, bytes + copy.size);
    unsigned accepted = 0;
    for (int round = 0; round < 2000; ++round) {
        std::copy(sound.begin(), sound.end(), bytes);
        // Half of the rounds spare the header, so that its check does not hide the rest.
        const std::uint64_t from = round % 2 == 0 ? 0 : offsetof(TableHeader, fold);
        const std::uint64_t to = round % 2 == 0 ? sizeof(TableHeader) : copy.size;
        for (int i = 0; i < 1 << (round % 10); ++i) {
            bytes[from + random() % (to - from)] = static_cast<unsigned char>(random());
        }
        // An odd sequence costs a reader all its tries; counter_table_test has that case.
        bytes[offsetof(TableHeader, columns_sequence)] &= 0xfe;
        try {
            const CounterReader reader(copy.fd.get(), table.row_source());
            ++accepted;
            for (const CounterReader::Sum& sum : reader.sums())
                (void)reader.sum(sum.name);
            (void)reader.value_of(1, "x");
            const std::uint64_t sequence_offset = reader.layout().status_offset;
            bytes[sequence_offset] &= 0xfe;
            (void)reader.status_snapshot();
        } catch (const std::runtime_error&) {
        }
    }
    CHECK(accepted >= 1000);
}
