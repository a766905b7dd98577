#include "master/control/counters_text.h"

#include "core/base/visible_text.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include <fmt/format.h>
#include <fnmatch.h>

namespace drover {

namespace {

std::string value_text(const CounterReader::Sum& sum) {
    if (sum.kind == CounterKind::histogram) {
        return fmt::format("{} (p50 {:.3g}, p99 {:.3g} {})", sum.value, sum.in_units(sum.quantile(0.5)),
                           sum.in_units(sum.quantile(0.99)), visible_text(sum.unit));
    }
    if (sum.per_unit > 1) return fmt::format("{:.3f}", sum.amount());
    return sum.kind == CounterKind::gauge ? fmt::to_string(sum.gauge()) : fmt::to_string(sum.value);
}

bool fits(const std::string& text, const std::string& pattern) {
    const bool has_wildcard = pattern.find_first_of("*?") != pattern.npos;
    return has_wildcard ? ::fnmatch(pattern.c_str(), text.c_str(), 0) == 0 : text.find(pattern) != text.npos;
}

}  // namespace

std::string counters_text(const CounterReader& reader, std::string_view pattern) {
    std::vector<CounterReader::Sum> sums = reader.sums();
    std::erase_if(sums, [wanted = std::string(pattern)](const CounterReader::Sum& sum) {
        if (sum.scope == CounterScope::worker) return true;  // gauges of each worker add up to nothing
        return wanted.empty() ? sum.value == 0 : !fits(sum.text(), wanted);
    });
    std::vector<std::string> names;
    std::vector<std::string> values;
    std::size_t name_width = 0;
    std::size_t value_width = 0;
    for (const CounterReader::Sum& sum : sums) {
        values.push_back(value_text(sum));
        names.push_back(visible_text(sum.text()));
        name_width = std::max(name_width, names.back().size());
        value_width = std::max(value_width, values.back().size());
    }
    std::string text;
    for (std::size_t i = 0; i < sums.size(); ++i) {
        fmt::format_to(std::back_inserter(text), "{:<{}}  {:>{}}\n", names[i], name_width, values[i],
                       value_width);
    }
    return text;
}

}  // namespace drover
