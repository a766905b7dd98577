// A module whose counters depend on its options, which change hot: it counts lines by name and observes their
// values. Each line is "NAME VALUE" and is answered by "ok"; a name that is not configured by "unknown".
// After "hold" a connection goes on by the configuration of that moment, as a request does that takes its
// time. Runs in: drover_trouble.
#pragma once

#include "core/counters/counter.h"
#include "core/counters/counter_row.h"
#include "core/counters/histogram.h"
#include "worker/module/module.h"
#include "worker/stream/connection.h"

#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace drover {

struct TallyOptions {
    std::vector<std::string_view> names;

    static const Options<TallyOptions>& options() {
        static const auto table =
            Options<TallyOptions>("Counts lines.")
                .texts("names", &TallyOptions::names, {}, Apply::hot, "What can be counted.");
        return table;
    }
};

class TallyModule final : public Module {
  public:
    static constexpr HistogramBounds bounds{1, 1'000'000};

    std::string_view name() const noexcept override { return "tally"; }
    const OptionTable& options() const override { return TallyOptions::options(); }
    std::vector<CounterDeclaration> counters_of(const ImageNode& options) const override {
        std::vector<CounterDeclaration> counters;
        const TallyOptions tally = TallyOptions::options().load(options);
        for (const std::string_view each : tally.names) {
            const std::vector<CounterLabel> labels{{"name", std::string(each)}};
            counters.push_back({.name = "tally_lines_total", .unit = "lines", .labels = labels});
            counters.push_back({.name = "tally_value_seconds",
                                .kind = CounterKind::histogram,
                                .unit = "seconds",
                                .labels = labels,
                                .bounds = bounds,
                                .per_unit = 1000});
        }
        return counters;
    }
    void start(Services& services, const ImageNode& options) override {
        services_ = &services;
        current_ = look_up(services.configuration, options);
    }
    void prepare(const std::shared_ptr<const Configuration>& next, const ImageNode& options) override {
        next_ = look_up(next, options);
    }
    void commit() noexcept override { current_ = std::move(next_); }
    void abandon() noexcept override { next_.reset(); }
    void connection(Accepted accepted) override {
        open_connection<TallyConnection>(*services_, std::move(accepted), *this);
    }

  private:
    struct Tally {
        Counter lines;
        Histogram values;
    };
    // Who counts by a generation's columns holds its configuration.
    struct Tallies {
        std::shared_ptr<const Configuration> configuration;
        std::map<std::string, Tally, std::less<>> by_name;
    };

    class TallyConnection final : public Connection {
      public:
        TallyConnection(Services& services, Accepted accepted, TallyModule& module)
            : Connection(services, std::move(accepted)), module_(module) {}

      private:
        std::size_t on_input(std::string_view input) override {
            const std::size_t end = input.find('\n');
            if (end == std::string_view::npos) return 0;
            const std::size_t blank = std::min(input.find(' '), end);
            if (input.substr(0, blank) == "hold") {
                held_ = module_.current_;
                write("ok\n");
                return end + 1;
            }
            const Tallies& tallies = held_ ? *held_ : *module_.current_;
            const auto tally = tallies.by_name.find(input.substr(0, blank));
            if (tally == tallies.by_name.end()) {
                write("unknown\n");
                return end + 1;
            }
            Counter lines = tally->second.lines;
            lines.add();
            Histogram values = tally->second.values;
            values.observe(std::strtoull(std::string(input.substr(blank, end)).c_str(), nullptr, 10));
            write("ok\n");
            return end + 1;
        }
        void on_drain() override { close(); }

        TallyModule& module_;
        std::shared_ptr<Tallies> held_;
    };

    std::shared_ptr<Tallies> look_up(const std::shared_ptr<const Configuration>& configuration,
                                     const ImageNode& options) const {
        auto tallies = std::make_shared<Tallies>();
        tallies->configuration = configuration;
        const TallyOptions tally = TallyOptions::options().load(options);
        for (const std::string_view each : tally.names) {
            const CounterRow::Labels labels{{"name", std::string(each)}};
            tallies->by_name[std::string(each)] = {
                services_->counters.counter("tally_lines_total", labels),
                services_->counters.histogram("tally_value_seconds", bounds, labels)};
        }
        return tallies;
    }

    Services* services_ = nullptr;
    std::shared_ptr<Tallies> current_;
    std::shared_ptr<Tallies> next_;
};

}  // namespace drover
