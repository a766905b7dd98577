// How core and modules say what they count: a name, a kind, and labels whose values are known when the
// configuration is. Declarations of one name are a family, which differ in their labels alone.
// Runs in: every process.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace drover {

enum class CounterKind : std::uint8_t { counter = 1, gauge = 2, histogram = 3 };
const char* to_text(CounterKind kind) noexcept;

// What a gauge's figure is of: the service's is the sum over its workers; a worker's means something for each
// worker alone, as its memory does.
enum class CounterScope : std::uint8_t { service = 0, worker = 1 };

struct CounterLabel {
    std::string name;   // [a-zA-Z_][a-zA-Z0-9_]*, at most 31 bytes; not "le" or "quantile"
    std::string value;  // UTF-8 without control characters

    friend bool operator==(const CounterLabel&, const CounterLabel&) = default;
};

// The values that a histogram tells apart: relative error at most 6 % from min to max, both included. Values
// below min count with the least, values above max in a bucket of their own.
struct HistogramBounds {
    std::uint64_t min = 0;
    std::uint64_t max = 0;  // above min, below 2^48

    friend bool operator==(const HistogramBounds&, const HistogramBounds&) = default;
};

// Names follow Prometheus: [a-zA-Z_][a-zA-Z0-9_]*, counters end in _total.
struct CounterDeclaration {
    static constexpr std::size_t most_labels = 8;

    std::string name;  // at most 95 bytes
    CounterKind kind = CounterKind::counter;
    std::string unit = {};  // "bytes", "requests", "seconds", ...; at most 15 bytes
    std::string help = {};  // one line, at most 143 bytes
    // At most most_labels, in a fixed order; all names and values together at most 240 bytes.
    std::vector<CounterLabel> labels = {};
    HistogramBounds bounds = {};  // of a histogram
    // So many of what is counted make one unit: 1000000 for microseconds shown as seconds.
    std::uint32_t per_unit = 1;
    CounterScope scope = CounterScope::service;  // worker: gauges only
    // The part that declares it ("core", "module.http"); filled in where declarations are collected.
    std::string owner = {};

    friend bool operator==(const CounterDeclaration&, const CounterDeclaration&) = default;
};

// What is wrong with a declaration; empty: nothing.
std::string declaration_fault(const CounterDeclaration& declaration);

// How many cells of a row it takes; at least 1.
std::uint32_t cells_of(const CounterDeclaration& declaration) noexcept;

// What tells columns apart: kind, name, labels, and a histogram's bounds.
std::uint64_t column_key(CounterKind kind, std::string_view name, const std::vector<CounterLabel>& labels,
                         HistogramBounds bounds) noexcept;
inline std::uint64_t column_key(const CounterDeclaration& declaration) noexcept {
    return column_key(declaration.kind, declaration.name, declaration.labels, declaration.bounds);
}

// True for declarations that may share a name: alike in all but their labels' values.
bool same_family(const CounterDeclaration& left, const CounterDeclaration& right);

// requests_total{route="/a"}, with `\`, `"` and line feeds escaped as Prometheus has it; for people and keys.
std::string counter_text(std::string_view name, const std::vector<CounterLabel>& labels);

// Labels in shared memory: name, zero byte, value, zero byte, for each; a zero byte more at the end.
constexpr std::size_t label_text_size = 256;
std::string encode_labels(const std::vector<CounterLabel>& labels);
// Up to where it makes no sense any more.
std::vector<CounterLabel> decode_labels(std::string_view text);

}  // namespace drover
