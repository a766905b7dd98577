#include "modules/observer/metrics_text.h"

#include "core/base/visible_text.h"
#include "core/counters/counter_families.h"
#include "core/counters/histogram.h"
#include "modules/http/http_syntax.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <functional>
#include <map>

#include <fmt/format.h>

namespace drover::observer {

namespace {

using Labels = std::vector<CounterLabel>;

// "text/html", then "level=1", "q=0.5".
std::string_view take_part(std::string_view& range) noexcept {
    const std::size_t end = range.find(';');
    const std::string_view part = range.substr(0, end);
    range.remove_prefix(end == std::string_view::npos ? range.size() : end + 1);
    return http::trim_blanks(part);
}

// RFC 9110, 12.4.2; 0: not acceptable. `type` is in lower case.
double quality_of(std::string_view accept, std::string_view type) noexcept {
    while (!accept.empty()) {
        std::string_view range = http::take_list_element(accept);
        if (!http::equals_ignoring_case(take_part(range), type)) continue;
        double quality = 1;
        while (!range.empty()) {
            const std::string_view parameter = take_part(range);
            if (!http::equals_ignoring_case(parameter.substr(0, 2), "q=")) continue;
            const std::string_view digits = parameter.substr(2);
            if (std::from_chars(digits.data(), digits.data() + digits.size(), quality).ec != std::errc())
                quality = 0;
        }
        return quality;
    }
    return 0;
}

// The shortest text that reads back the same; whole numbers up to 2^53 without an exponent.
std::string number_text(double value) {
    constexpr double exact = 9007199254740992.0;
    const bool whole = std::trunc(value) == value && std::abs(value) < exact;
    return whole ? fmt::format("{:.0f}", value) : fmt::format("{}", value);
}

// OpenMetrics wants a float to look like one where it is part of a name.
std::string edge_text(double value) {
    std::string text = number_text(value);
    if (text.find_first_of(".e") == std::string::npos) text += ".0";
    return text;
}

void append_escaped(std::string& out, std::string_view text, bool quotes) {
    while (!text.empty()) {
        const char first = text.front();
        const VisibleCharacter character(text, TextEscape::text);
        const bool shown_otherwise = character.bytes() != text.substr(0, character.length());
        if (first == '\n') {
            out.append("\\n");
        } else {
            // A control character is shown as \x1b, a text with a backslash.
            if (first == '\\' || (first == '"' && quotes) || shown_otherwise) out.push_back('\\');
            out.append(character.bytes());
        }
        text.remove_prefix(character.length());
    }
}

class Writer {
  public:
    explicit Writer(MetricsFormat format) noexcept : open_metrics_(format == MetricsFormat::open_metrics) {}

    void family(const CounterDeclaration& declaration) {
        const std::string_view name = family_name(declaration);
        out_.append("# HELP ").append(name).append(" ");
        append_escaped(out_, declaration.help, open_metrics_);
        out_.append("\n# TYPE ").append(name).append(" ").append(to_text(declaration.kind)).append("\n");
        // OpenMetrics takes a unit only where the name ends with it.
        const std::string ending = "_" + declaration.unit;
        if (open_metrics_ && !declaration.unit.empty() && name.ends_with(ending))
            out_.append("# UNIT ").append(name).append(" ").append(declaration.unit).append("\n");
    }

    void sample(std::string_view name, std::string_view suffix, const Labels& labels,
                std::string_view value) {
        out_.append(name).append(suffix);
        char before = '{';
        for (const CounterLabel& label : labels) {
            out_.push_back(before);
            out_.append(label.name).append("=\"");
            append_escaped(out_, label.value, true);
            out_.push_back('"');
            before = ',';
        }
        if (!labels.empty()) out_.push_back('}');
        out_.append(" ").append(value).append("\n");
    }

    std::string take() {
        if (open_metrics_) out_.append("# EOF\n");
        return std::move(out_);
    }

  private:
    // In OpenMetrics a counter's family is called without the _total of its samples.
    std::string_view family_name(const CounterDeclaration& declaration) const noexcept {
        std::string_view name = declaration.name;
        constexpr std::string_view total = "_total";
        const bool cut = open_metrics_ && declaration.kind == CounterKind::counter && name.ends_with(total);
        if (cut) name.remove_suffix(total.size());
        return name;
    }

    bool open_metrics_;
    std::string out_;
};

void write_value(Writer& writer, const CounterReader::Sum& sum) {
    const auto value = [&] {
        if (sum.per_unit > 1) return number_text(sum.amount());
        return sum.kind == CounterKind::gauge ? std::to_string(sum.gauge()) : std::to_string(sum.value);
    };
    writer.sample(sum.name, "", sum.labels, value());
}

void write_histogram(Writer& writer, const CounterReader::Sum& sum) {
    const HistogramScale scale(sum.bounds);
    Labels labels = sum.labels;
    labels.push_back({"le", ""});
    CounterLabel& edge = labels.back();
    std::uint64_t below = 0;
    const auto last = static_cast<std::uint32_t>(sum.buckets.size()) - 1;
    for (std::uint32_t bucket = 0; bucket < last; ++bucket) {
        below += sum.buckets[bucket];
        const std::uint64_t most = scale.most(bucket);
        if (!std::has_single_bit(most + 1) && bucket + 1 != last) continue;
        edge.value = edge_text(sum.in_units(static_cast<double>(most)));
        writer.sample(sum.name, "_bucket", labels, std::to_string(below));
    }
    edge.value = "+Inf";
    const std::string all = std::to_string(below + sum.buckets[last]);
    writer.sample(sum.name, "_bucket", labels, all);
    writer.sample(sum.name, "_sum", sum.labels, number_text(sum.in_units(static_cast<double>(sum.sum))));
    writer.sample(sum.name, "_count", sum.labels, all);
}

// The newest of a slot goes by pool and slot alone, so that its series outlives it. Those before it, which
// may drain for hours, are told apart by their process.
void write_workers(Writer& writer, const CounterReader::Sum& sum, const Metrics::Gauge& gauge) {
    using Worker = const CounterReader::WorkerValue*;
    std::map<std::pair<std::string_view, std::uint32_t>, std::vector<Worker>> slots;
    for (const CounterReader::WorkerValue& worker : gauge.workers)
        slots[{worker.pool, worker.slot}].push_back(&worker);
    for (auto& [key, workers] : slots) {
        std::ranges::sort(workers, std::greater(), [](Worker worker) { return worker->instance; });
        for (const Worker worker : workers) {
            Labels labels{{"pool", worker->pool}, {"slot", std::to_string(worker->slot)}};
            if (worker != workers.front()) labels.push_back({"older_pid", std::to_string(worker->pid)});
            const double value = sum.in_units(static_cast<double>(worker->value));
            writer.sample(sum.name, "", labels, number_text(value));
        }
    }
}

const Metrics::Gauge* find_gauge(const Metrics& metrics, std::string_view name) noexcept {
    const auto found = std::ranges::find(metrics.worker_gauges, name, &Metrics::Gauge::name);
    return found == metrics.worker_gauges.end() ? nullptr : &*found;
}

void write_sum(Writer& writer, const CounterReader::Sum& sum, const Metrics& metrics) {
    if (sum.scope == CounterScope::worker) {
        if (const Metrics::Gauge* const gauge = find_gauge(metrics, sum.name))
            write_workers(writer, sum, *gauge);
    } else if (sum.kind == CounterKind::histogram) {
        write_histogram(writer, sum);
    } else {
        write_value(writer, sum);
    }
}

}  // namespace

MetricsFormat accepted_format(std::string_view accept) noexcept {
    const double open_metrics = quality_of(accept, "application/openmetrics-text");
    const double prometheus = quality_of(accept, "text/plain");
    return open_metrics > 0 && open_metrics >= prometheus ? MetricsFormat::open_metrics
                                                          : MetricsFormat::prometheus;
}

std::string_view media_type(MetricsFormat format) noexcept {
    return format == MetricsFormat::open_metrics
               ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
               : "text/plain; version=0.0.4; charset=utf-8";
}

Metrics read_metrics(const CounterReader& reader) {
    Metrics metrics;
    metrics.sums = reader.sums();
    for (const CounterReader::Sum& sum : metrics.sums) {
        if (sum.scope == CounterScope::worker)
            metrics.worker_gauges.push_back({sum.name, reader.each_worker(sum.name)});
    }
    return metrics;
}

// All of a family stand together, though columns that came with a reload lie apart.
std::string metrics_text(const Metrics& metrics, MetricsFormat format) {
    const std::vector<const CounterReader::Sum*> sums = one_of_each(metrics.sums);
    std::map<std::string_view, std::vector<const CounterReader::Sum*>> families;
    std::vector<std::string_view> order;
    for (const CounterReader::Sum* const sum : sums) {
        auto& family = families[sum->name];
        if (family.empty()) order.push_back(sum->name);
        family.push_back(sum);
    }
    Writer writer(format);
    for (const std::string_view name : order) {
        const auto& family = families[name];
        writer.family(*family.front());
        for (const CounterReader::Sum* const sum : family)
            write_sum(writer, *sum, metrics);
    }
    return writer.take();
}

}  // namespace drover::observer
