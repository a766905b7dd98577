#include "core/counters/counter_difference.h"

#include <numeric>
#include <unordered_map>

namespace drover {

namespace {

CounterReader::Sum difference(const CounterReader::Sum& before, const CounterReader::Sum& now) {
    CounterReader::Sum between = now;
    if (now.kind == CounterKind::gauge) return between;
    between.value = counted_between(before.value, now.value);
    if (now.kind != CounterKind::histogram || now.buckets.size() != before.buckets.size()) return between;
    between.sum = counted_between(before.sum, now.sum);
    for (std::size_t i = 0; i < now.buckets.size(); ++i)
        between.buckets[i] = counted_between(before.buckets[i], now.buckets[i]);
    between.value = std::accumulate(between.buckets.begin(), between.buckets.end(), std::uint64_t{0});
    return between;
}

}  // namespace

std::vector<std::optional<std::size_t>> places_before(std::span<const CounterReader::Sum> before,
                                                      std::span<const CounterReader::Sum> now) {
    std::unordered_map<std::uint64_t, std::size_t> known;
    for (std::size_t i = 0; i < before.size(); ++i)
        known.emplace(column_key(before[i]), i);
    std::vector<std::optional<std::size_t>> places;
    for (const CounterReader::Sum& sum : now) {
        const auto found = known.find(column_key(sum));
        places.push_back(found == known.end() ? std::nullopt : std::optional(found->second));
    }
    return places;
}

std::vector<CounterReader::Sum> counted_between(std::span<const CounterReader::Sum> before,
                                                std::span<const CounterReader::Sum> now) {
    const std::vector<std::optional<std::size_t>> places = places_before(before, now);
    std::vector<CounterReader::Sum> counted;
    for (std::size_t i = 0; i < now.size(); ++i)
        if (places[i]) counted.push_back(difference(before[*places[i]], now[i]));
    return counted;
}

}  // namespace drover
