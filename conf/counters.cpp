#include "conf/counters.h"

#include "conf/image/diff.h"
#include "conf/observer.h"
#include "conf/options/value_text.h"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

namespace drover {

namespace {

constexpr std::array kinds{CounterKind::counter, CounterKind::gauge, CounterKind::histogram};

[[noreturn]] void refuse(const std::string& what) {
    throw std::runtime_error("configuration image: a counter: " + what);
}

ImageValue integer_value(std::string name, std::uint64_t number) {
    return {
        .name = std::move(name), .type = ValueType::integer, .integer = static_cast<std::int64_t>(number)};
}

// Fields with their default are left out: there may be thousands.
ImageValue to_image(const CounterDeclaration& declaration) {
    ImageValue entry;
    entry.children = {text_value("name", declaration.name), text_value("kind", to_text(declaration.kind)),
                      text_value("unit", declaration.unit), text_value("help", declaration.help),
                      text_value("owner", declaration.owner)};
    if (declaration.kind == CounterKind::histogram) {
        entry.children.push_back(integer_value("min", declaration.bounds.min));
        entry.children.push_back(integer_value("max", declaration.bounds.max));
    }
    if (declaration.per_unit != 1) entry.children.push_back(integer_value("per_unit", declaration.per_unit));
    if (declaration.scope == CounterScope::worker) entry.children.push_back(integer_value("worker", 1));
    if (declaration.labels.empty()) return entry;
    ImageValue& labels = entry.children.emplace_back();
    labels.name = "labels";
    for (const CounterLabel& label : declaration.labels)
        labels.children.push_back(text_value(label.name, label.value));
    return entry;
}

std::string text_of(const ImageNode& entry, std::string_view name) {
    const ImageNode node = entry.find(name);
    if (!node || node.type() != ValueType::text) refuse(std::string(name) + " is no text");
    return std::string(node.text());
}

std::uint64_t integer_of(const ImageNode& entry, std::string_view name, std::uint64_t fallback) {
    const ImageNode node = entry.find(name);
    if (!node) return fallback;
    if (node.type() != ValueType::integer || node.integer() < 0) refuse(std::string(name) + " is no number");
    return static_cast<std::uint64_t>(node.integer());
}

CounterDeclaration from_image(const ImageNode& entry) {
    CounterDeclaration declaration;
    declaration.name = text_of(entry, "name");
    declaration.unit = text_of(entry, "unit");
    declaration.help = text_of(entry, "help");
    declaration.owner = text_of(entry, "owner");
    const std::string kind = text_of(entry, "kind");
    const auto* const known = std::ranges::find(kinds, kind, [](CounterKind each) { return to_text(each); });
    if (known == kinds.end()) refuse("it is of no known kind");
    declaration.kind = *known;
    declaration.bounds = {integer_of(entry, "min", 0), integer_of(entry, "max", 0)};
    declaration.per_unit = static_cast<std::uint32_t>(integer_of(entry, "per_unit", 1));
    if (integer_of(entry, "worker", 0) != 0) declaration.scope = CounterScope::worker;
    const ImageNode labels = entry.find("labels");
    for (std::uint32_t index = 0; labels && index < labels.size(); ++index) {
        const ImageNode label = labels.child(index);
        declaration.labels.push_back({std::string(label.name()), text_of(labels, label.name())});
    }
    if (const std::string fault = declaration_fault(declaration); !fault.empty()) refuse(fault);
    return declaration;
}

constexpr const char* total = "_total";

// The family's name is among them (openmetrics.io, "Suffixes").
std::vector<std::string> series_of(const CounterDeclaration& declaration) {
    std::string name = declaration.name;
    switch (declaration.kind) {
        case CounterKind::counter:
            name.resize(name.size() - std::string_view(total).size());
            return {name, declaration.name, name + "_created"};
        case CounterKind::gauge:
            return {name};
        case CounterKind::histogram:
            return {name, name + "_bucket", name + "_count", name + "_sum", name + "_created"};
    }
    return {};
}

std::string quoted(const CounterDeclaration& declaration) {
    return toml_string(cut_text(counter_text(declaration.name, declaration.labels), 100));
}

}  // namespace

std::vector<CounterDeclaration> declared_counters(const Image& image) {
    const ImageNode list = image.root().find("counters");
    if (!list) throw std::runtime_error("configuration image: counters is missing");
    if (list.type() != ValueType::list)
        throw std::runtime_error("configuration image: counters is of another type");
    std::vector<CounterDeclaration> counters;
    for (std::uint32_t index = 0; index < list.size(); ++index)
        counters.push_back(from_image(list.child(index)));
    return counters;
}

CounterList::CounterList(std::uint64_t capacity, FaultHandler on_fault)
    : capacity_(capacity), on_fault_(std::move(on_fault)) {
    for (const CounterDeclaration& figure : service_figures({""}))
        series_[figure.name] = "the observer";
}

void CounterList::add(const std::string& owner, const std::vector<CounterDeclaration>& declarations) {
    for (CounterDeclaration declaration : declarations) {
        declaration.owner = owner;
        if (!add_one(declaration)) return;
    }
}

// False when nothing more fits.
bool CounterList::add_one(const CounterDeclaration& declaration) {
    const std::string who = std::string(to_text(declaration.kind)) + " " + quoted(declaration) + ": ";
    if (const std::string fault = declaration_fault(declaration); !fault.empty()) {
        on_fault_(declaration.owner, who + fault);
        return true;
    }
    if (const std::string fault = exposition_fault(declaration); !fault.empty()) {
        on_fault_(declaration.owner, who + fault);
        return true;
    }
    const auto [family, is_new] = families_.try_emplace(declaration.name, declaration);
    if (!is_new && !same_family(family->second, declaration)) {
        on_fault_(declaration.owner,
                  who + "it is declared elsewhere with another kind, unit, help or labels");
        return true;
    }
    if (!known_.emplace(counter_text(declaration.name, declaration.labels), true).second) return true;
    const std::uint64_t cells = cells_of(declaration);
    if (cells_ + cells > capacity_) {
        if (std::exchange(full_, true)) return false;
        std::string others;
        for (const auto& [owner, taken] : cells_by_owner_)
            others += (others.empty() ? "" : ", ") + owner + " has " + std::to_string(taken);
        on_fault_(declaration.owner, who + "no room for it: it takes " + std::to_string(cells) + " of " +
                                         std::to_string(capacity_) + " cells (master.counters), and " +
                                         others);
        return false;
    }
    cells_ += cells;
    cells_by_owner_[declaration.owner] += cells;
    list_.children.push_back(to_image(declaration));
    return true;
}

// The reason why readers of OpenMetrics would refuse or mix up the counter: they know a counter by its
// ending, and a family by the names of all its series.
std::string CounterList::exposition_fault(const CounterDeclaration& declaration) {
    const bool ends_as_counter = declaration.name.ends_with(total);
    if (declaration.kind == CounterKind::counter && !ends_as_counter)
        return "a counter's name ends with _total, such as " + toml_string(declaration.name + total);
    if (declaration.kind != CounterKind::counter && ends_as_counter)
        return "only a counter's name ends with _total";
    for (const std::string& series : series_of(declaration)) {
        const auto known = series_.try_emplace(series, declaration.name).first;
        if (known->second != declaration.name)
            return "its series " + series + " would be one of " + known->second + ", too";
    }
    return "";
}

CounterDifference compare_counters(const ImageNode& running, const ImageNode& next) {
    using Entries = std::map<std::string, ImageNode>;
    const auto entries = [](const ImageNode& list) {
        Entries all;
        for (std::uint32_t index = 0; index < list.size(); ++index)
            all[value_text(list.child(index), false)] = list.child(index);
        return all;
    };
    const Entries before = entries(running);
    const Entries after = entries(next);
    CounterDifference difference;
    const auto only_in = [&difference](const Entries& these, const Entries& those) {
        std::uint32_t count = 0;
        for (const auto& [text, entry] : these) {
            if (those.contains(text)) continue;
            ++count;
            if (!entry.find("labels")) difference.labels_only = false;
        }
        return count;
    };
    difference.added = only_in(after, before);
    difference.retired = only_in(before, after);
    return difference;
}

}  // namespace drover
