#include "master/cli/top/sample.h"

#include "master/cli/top/traffic.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

namespace drover::top {

namespace {

constexpr std::string_view connections_name = "drover_connections_active";
constexpr std::string_view busy_name = "drover_worker_busy_ratio";
constexpr std::string_view lag_name = "drover_worker_loop_lag_seconds";

bool is_shown(const CounterDeclaration& column) {
    return share_of(column) != Share::nothing || column.name == connections_name ||
           column.name == busy_name || column.name == lag_name;
}

// A gauge of every worker, in units.
class GaugeColumn {
  public:
    GaugeColumn(const CounterReader::WorkerRows& rows, std::string_view name)
        : rows_(rows),
          found_(std::ranges::find(rows.columns, name, &CounterReader::Sum::name)),
          column_(static_cast<std::size_t>(found_ - rows.columns.begin())) {}

    std::optional<double> of(std::optional<std::size_t> row) const {
        if (!row || found_ == rows_.columns.end()) return std::nullopt;
        return found_->in_units(
            static_cast<double>(static_cast<std::int64_t>(rows_.of(*row, column_).front())));
    }

  private:
    const CounterReader::WorkerRows& rows_;
    std::vector<CounterReader::Sum>::const_iterator found_;
    std::size_t column_;
};

std::vector<WorkerSample> worker_samples(const std::vector<WorkerStatus>& workers,
                                         const CounterReader::WorkerRows& rows) {
    std::unordered_map<std::uint64_t, std::size_t> row_of;
    for (std::size_t row = 0; row < rows.rows.size(); ++row)
        row_of.emplace(rows.rows[row].instance, row);
    const GaugeColumn connections(rows, connections_name);
    const GaugeColumn busy(rows, busy_name);
    const GaugeColumn lag(rows, lag_name);
    std::vector<WorkerSample> samples;
    for (const WorkerStatus& status : workers) {
        WorkerSample worker{.status = status};
        if (const auto found = row_of.find(status.instance); found != row_of.end())
            worker.row = found->second;
        worker.connections = static_cast<std::int64_t>(
            std::max(connections.of(worker.row).value_or(static_cast<double>(status.connections)), 0.0));
        worker.busy = busy.of(worker.row).value_or(0);
        worker.lag_seconds = lag.of(worker.row).value_or(0);
        samples.push_back(worker);
    }
    return samples;
}

}  // namespace

Sample take_sample(const CounterReader& reader, std::int64_t now_ms) {
    StatusSnapshot status = reader.status_snapshot();
    Sample sample;
    sample.time_ms = now_ms;
    sample.master = status.master;
    sample.rows = reader.worker_rows(is_shown);
    sample.workers = worker_samples(status.workers, sample.rows);
    sample.sums = reader.sums();
    const auto active = std::ranges::find(sample.sums, connections_name, &CounterReader::Sum::name);
    if (active != sample.sums.end()) sample.connections = active->gauge();
    return sample;
}

}  // namespace drover::top
