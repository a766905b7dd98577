// What the tests of the counter table begin with. Runs in: tests.
#pragma once

#include "core/counters/counter_reader.h"
#include "core/counters/counter_table.h"

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fcntl.h>

namespace drover::test {

inline const CounterDeclaration requests{"requests_total", CounterKind::counter, "requests",
                                         "Requests answered."};
inline const CounterDeclaration active{"connections", CounterKind::gauge, "connections", "Open connections."};

// As CounterRow does for a worker's thread.
struct CountingThread {
    CountingThread() { detail::counting_thread = true; }
    ~CountingThread() { detail::counting_thread = false; }
};

inline CounterDeclaration named(const std::string& name) {
    return {name, CounterKind::counter, "", ""};
}

inline void declare(CounterTable& table, std::uint64_t generation,
                    std::vector<CounterDeclaration> declarations) {
    table.declare(generation, declarations);
}

inline std::uint32_t take(CounterTable& table, std::uint64_t instance, std::uint64_t generation = 1) {
    const auto row = table.take_row({instance, generation, "main", 0});
    REQUIRE(row.has_value());
    return *row;
}

inline CounterRow map(const CounterTable& table, std::uint32_t row, std::uint64_t instance) {
    return {table.read_only_fd(), table.row_fd(row), row, instance};
}

// The table's memory as it is now, for tests that write there: the master's own lets nobody.
struct TableCopy {
    explicit TableCopy(const CounterTable& table)
        : size(file_size(table.read_only_fd())),
          fd(create_memfd("counter-table-copy", size, true)),
          mapping(map_shared_writable(fd.get(), 0, size)) {
        std::memcpy(mapping.data(), map_shared_read_only(table.read_only_fd(), 0, size).data(), size);
        REQUIRE(::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK) == 0);
    }
    TableHeader& header() const { return *static_cast<TableHeader*>(mapping.data()); }

    std::size_t size;
    UniqueFd fd;
    Mapping mapping;
};

// What a worker does from start to death.
inline void count_and_fold(CounterTable& table, std::uint64_t instance, std::uint64_t generation,
                           const char* name, std::uint64_t amount) {
    const std::uint32_t row = take(table, instance, generation);
    map(table, row, instance).counter(name).add(amount);
    table.fold(row);
}

inline std::string length_error_of(CounterTable& table, std::uint64_t generation,
                                   std::vector<CounterDeclaration> declarations) {
    try {
        table.declare(generation, declarations);
    } catch (const std::length_error& error) {
        return error.what();
    }
    return {};
}

}  // namespace drover::test
