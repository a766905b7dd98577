#include "core/counters/counter_families.h"

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <tuple>

namespace drover {

std::vector<const CounterReader::Sum*> one_of_each(const std::vector<CounterReader::Sum>& sums) {
    using Sum = CounterReader::Sum;
    const auto rank = [](const Sum& sum) { return std::tuple(sum.kind, sum.bounds.min, sum.bounds.max); };
    std::map<std::string_view, CounterKind> kinds;
    std::map<std::string, const Sum*> chosen;
    for (const Sum& sum : sums) {
        CounterKind& kind = kinds.try_emplace(sum.name, sum.kind).first->second;
        kind = std::min(kind, sum.kind);
        const Sum*& known = chosen[sum.text()];
        if (known == nullptr || rank(sum) < rank(*known)) known = &sum;
    }
    std::vector<const Sum*> kept;
    for (const Sum& sum : sums) {
        if (sum.kind == kinds[sum.name] && chosen[sum.text()] == &sum) kept.push_back(&sum);
    }
    return kept;
}

}  // namespace drover
