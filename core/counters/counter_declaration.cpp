#include "core/counters/counter_declaration.h"

#include "core/base/utf8.h"
#include "core/counters/histogram.h"

#include <algorithm>

#include <fmt/format.h>

namespace drover {

namespace {

constexpr std::size_t longest_name = 95, longest_unit = 15, longest_help = 143, longest_label_name = 31;
constexpr std::size_t longest_labels = 240;

bool is_name(std::string_view name, std::size_t longest) {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
    const auto digit = [](char c) { return c >= '0' && c <= '9'; };
    return !name.empty() && name.size() <= longest && letter(name[0]) &&
           std::ranges::all_of(name, [&](char c) { return letter(c) || digit(c); });
}

// UTF-8 without control characters (C0, DEL, U+0080 to U+009F).
bool is_line(std::string_view text) {
    const auto byte = [&text](std::size_t index) { return static_cast<unsigned char>(text[index]); };
    while (!text.empty()) {
        const std::size_t length = utf8_length(text);
        if (length == 0 || byte(0) < ' ' || byte(0) == 0x7f) return false;
        if (length == 2 && byte(0) == 0xc2 && byte(1) < 0xa0) return false;
        text.remove_prefix(length);
    }
    return true;
}

std::string labels_fault(const CounterDeclaration& declaration) {
    std::size_t size = 0;
    if (declaration.labels.size() > CounterDeclaration::most_labels)
        return fmt::format("it has more than {} labels", CounterDeclaration::most_labels);
    for (const CounterLabel& label : declaration.labels) {
        const bool shown_by_reader = label.name == "le" || label.name == "quantile";
        if (!is_name(label.name, longest_label_name) || shown_by_reader)
            return fmt::format("a label's name is not 1 to {} letters, digits and '_', or is taken",
                               longest_label_name);
        if (!is_line(label.value)) return "a label's value is not one line of UTF-8";
        if (std::ranges::count(declaration.labels, label.name, &CounterLabel::name) > 1)
            return fmt::format("its label {} is there twice", label.name);
        size += label.name.size() + label.value.size();
    }
    if (size > longest_labels) return fmt::format("its labels have more than {} bytes", longest_labels);
    return {};
}

// FNV-1a, 64 bits.
class Hash {
  public:
    void add(std::string_view text) noexcept {
        for (const char c : text)
            add_byte(static_cast<unsigned char>(c));
        add_byte(0);
    }
    void add(std::uint64_t number) noexcept {
        for (int i = 0; i < 8; ++i)
            add_byte(static_cast<unsigned char>(number >> (8 * i)));
    }
    std::uint64_t value() const noexcept { return value_; }

  private:
    void add_byte(unsigned char byte) noexcept {
        value_ ^= byte;
        value_ *= 0x100000001b3U;
    }
    std::uint64_t value_ = 0xcbf29ce484222325U;
};

}  // namespace

const char* to_text(CounterKind kind) noexcept {
    switch (kind) {
        case CounterKind::counter:
            return "counter";
        case CounterKind::gauge:
            return "gauge";
        case CounterKind::histogram:
            return "histogram";
    }
    return "unknown";
}

std::string declaration_fault(const CounterDeclaration& declaration) {
    if (!is_name(declaration.name, longest_name))
        return fmt::format("its name is not 1 to {} letters, digits and '_', beginning with no digit",
                           longest_name);
    if (declaration.unit.size() > longest_unit || !is_line(declaration.unit))
        return fmt::format("its unit has more than {} bytes", longest_unit);
    if (declaration.help.size() > longest_help || !is_line(declaration.help))
        return fmt::format("its help is not one line of at most {} bytes", longest_help);
    if (declaration.per_unit == 0) return "its per_unit is 0";
    const bool histogram = declaration.kind == CounterKind::histogram;
    const HistogramBounds bounds = declaration.bounds;
    if (histogram && (bounds.min >= bounds.max || bounds.max > HistogramScale::largest))
        return "its bounds are not min below max below 2^48";
    if (!histogram && bounds != HistogramBounds{}) return "it has bounds and is no histogram";
    if (declaration.scope == CounterScope::worker && declaration.kind != CounterKind::gauge)
        return "it is a worker's and no gauge";
    if (declaration.scope == CounterScope::worker && !declaration.labels.empty())
        return "it is a worker's and has labels of its own";
    return labels_fault(declaration);
}

std::uint32_t cells_of(const CounterDeclaration& declaration) noexcept {
    if (declaration.kind != CounterKind::histogram) return 1;
    return HistogramScale(declaration.bounds).cells();
}

std::uint64_t column_key(CounterKind kind, std::string_view name, const std::vector<CounterLabel>& labels,
                         HistogramBounds bounds) noexcept {
    Hash hash;
    hash.add(static_cast<std::uint64_t>(kind));
    hash.add(name);
    for (const CounterLabel& label : labels) {
        hash.add(label.name);
        hash.add(label.value);
    }
    hash.add(bounds.min);
    hash.add(bounds.max);
    return hash.value();
}

bool same_family(const CounterDeclaration& left, const CounterDeclaration& right) {
    return left.kind == right.kind && left.unit == right.unit && left.help == right.help &&
           left.bounds == right.bounds && left.per_unit == right.per_unit && left.scope == right.scope &&
           std::ranges::equal(left.labels, right.labels, {}, &CounterLabel::name, &CounterLabel::name);
}

std::string counter_text(std::string_view name, const std::vector<CounterLabel>& labels) {
    std::string text(name);
    for (const CounterLabel& label : labels) {
        text += (&label == labels.data() ? "{" : ",") + label.name + "=\"";
        for (const char c : label.value) {
            if (c == '\\' || c == '"') text += '\\';
            c == '\n' ? text += "\\n" : text += c;
        }
        text += '"';
    }
    if (!labels.empty()) text += '}';
    return text;
}

std::string encode_labels(const std::vector<CounterLabel>& labels) {
    std::string text;
    for (const CounterLabel& label : labels)
        text.append(label.name).append(1, '\0').append(label.value).append(1, '\0');
    return text;
}

std::vector<CounterLabel> decode_labels(std::string_view text) {
    std::vector<CounterLabel> labels;
    const auto next = [&text](std::string& part) {
        const std::size_t end = text.find('\0');
        if (end == text.npos) return false;
        part = text.substr(0, end);
        text.remove_prefix(end + 1);
        return true;
    };
    CounterLabel label;
    while (labels.size() < CounterDeclaration::most_labels && next(label.name) && !label.name.empty() &&
           next(label.value)) {
        labels.push_back(label);
    }
    return labels;
}

}  // namespace drover
