#include "conf/options/metrics_reference.h"

#include "conf/counters.h"
#include "conf/observer.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace drover {

namespace {

constexpr std::size_t page_width = 108;

void append_wrapped(std::string& page, std::string_view text) {
    std::size_t column = 0;
    while (!text.empty()) {
        const std::string_view word = text.substr(0, text.find(' '));
        text.remove_prefix(std::min(word.size() + 1, text.size()));
        if (column > 0 && column + 1 + word.size() > page_width) {
            page += "\n ";
            column = 1;
        }
        if (column > 0) page += ' ';
        page += word;
        column += word.size() + 1;
    }
    page += '\n';
}

// " `result`: ok, refused, rolled_back.", for each label; one value is a placeholder.
std::string labels_text(std::span<const CounterDeclaration> family) {
    std::string text;
    for (const CounterLabel& label : family.front().labels) {
        std::vector<std::string> values;
        for (const CounterDeclaration& one : family) {
            const auto found = std::ranges::find(one.labels, label.name, &CounterLabel::name);
            if (found != one.labels.end() && std::ranges::find(values, found->value) == values.end())
                values.push_back(found->value);
        }
        text += fmt::format(" `{}`: {}.", label.name, fmt::join(values, ", "));
    }
    return text;
}

void append_family(std::string& page, std::span<const CounterDeclaration> family) {
    const CounterDeclaration& first = family.front();
    std::string names;
    for (const CounterLabel& label : first.labels)
        names += (names.empty() ? "{" : ", ") + label.name;
    if (!names.empty()) names += "}";
    std::string text = fmt::format("- `{}{}`: {}", first.name, names, to_text(first.kind));
    if (!first.unit.empty()) text += ", " + first.unit;
    if (first.scope == CounterScope::worker) text += ", of each worker";
    text += ". " + first.help + labels_text(family);
    if (first.kind == CounterKind::histogram) {
        const double unit = first.per_unit;
        text += fmt::format(" From {:g} to {:g}.", static_cast<double>(first.bounds.min) / unit,
                            static_cast<double>(first.bounds.max) / unit);
    }
    append_wrapped(page, text);
}

void append_section(std::string& page, std::string_view title, std::vector<CounterDeclaration> counters) {
    if (counters.empty()) return;
    page += fmt::format("\n### {}\n\n", title);
    while (!counters.empty()) {
        const std::string name = counters.front().name;
        const auto rest = std::stable_partition(counters.begin(), counters.end(),
                                                [&](const auto& one) { return one.name == name; });
        append_family(page, {counters.begin(), rest});
        counters.erase(counters.begin(), rest);
    }
}

}  // namespace

std::string metrics_reference(std::span<const ModuleDeclaration> modules) {
    std::string page = "## Metrics\n";
    append_section(page, "Core",
                   core_counters({{"the pool's name", "the address as configured"},
                                  {"the pool's name", "udp:ADDRESS as configured"}}));
    append_section(page, "Of the observer alone", service_figures({"the pool's name"}));
    for (const ModuleDeclaration& module : modules)
        append_section(page, "Module " + module.name, module.counters);
    return page;
}

}  // namespace drover
