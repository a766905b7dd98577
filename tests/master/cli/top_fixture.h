// Views for the tests of top. Runs in: tests.
#pragma once

#include "core/counters/histogram.h"
#include "master/cli/top/rates.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace drover::test {

// With what its row says.
struct RowedWorker : top::WorkerSample {
    std::map<std::string, std::uint64_t> requests;  // by route
    std::vector<std::uint64_t> milliseconds = {};   // that requests took
    bool counts_from_nothing = true;
};

inline RowedWorker worker_sample(std::uint32_t slot, std::uint64_t instance, std::uint64_t requests) {
    RowedWorker worker;
    std::string_view("main").copy(worker.status.pool, sizeof worker.status.pool - 1);
    worker.status.slot = slot;
    worker.status.pid = 1000 + static_cast<std::uint32_t>(instance);
    worker.status.instance = instance;
    worker.status.generation = 3;
    worker.status.state = WorkerState::serving;
    worker.status.heartbeat_ms = 900;
    worker.status.report_interval_ms = 1000;
    worker.status.resident_bytes = 4 << 20;
    worker.connections = static_cast<std::int64_t>(slot);
    worker.requests["/"] = requests;
    return worker;
}

// The columns that the workers have; all of them together are what there is.
class SampleMaker {
  public:
    explicit SampleMaker(const std::vector<RowedWorker>& workers) {
        std::map<std::string, std::uint64_t> routes;
        for (const RowedWorker& worker : workers)
            routes.insert(worker.requests.begin(), worker.requests.end());
        for (const auto& route : routes)
            add({.name = "x_requests_total", .labels = {{"route", route.first}}});
        add({.name = "x_request_seconds",
             .kind = CounterKind::histogram,
             .bounds = {1, 1000},
             .per_unit = 1000});
        for (const RowedWorker& worker : workers)
            add_row(worker);
    }
    top::Sample take() { return std::move(sample_); }

  private:
    void add(CounterDeclaration declaration) {
        CounterReader::Sum column;
        static_cast<CounterDeclaration&>(column) = std::move(declaration);
        const std::size_t cells = cells_of(column);
        sample_.rows.places.push_back({sample_.rows.row_size, cells, 1});
        sample_.rows.row_size += cells;
        sample_.rows.columns.push_back(column);
        if (column.kind == CounterKind::histogram) column.buckets.resize(cells - 1);
        sample_.sums.push_back(std::move(column));
    }
    void add_row(const RowedWorker& worker) {
        top::WorkerSample rowed = worker;
        rowed.row = sample_.rows.rows.size();
        sample_.rows.rows.push_back({worker.status.instance, worker.counts_from_nothing ? 1U : 0U});
        for (CounterReader::Sum& sum : sample_.sums) {
            std::vector<std::uint64_t> cells(cells_of(sum));
            if (sum.kind == CounterKind::histogram) {
                for (const std::uint64_t time : worker.milliseconds)
                    ++cells[1 + HistogramScale(sum.bounds).bucket_of(time)];
                for (std::size_t i = 0; i < sum.buckets.size(); ++i)
                    sum.buckets[i] += cells[1 + i];
            } else {
                const auto found = worker.requests.find(sum.labels.front().value);
                cells[0] = found == worker.requests.end() ? 0 : found->second;
                sum.value += cells[0];
            }
            sample_.rows.cells.insert(sample_.rows.cells.end(), cells.begin(), cells.end());
        }
        sample_.connections += worker.connections;
        sample_.workers.push_back(rowed);
    }

    top::Sample sample_;
};

inline top::Sample sample_at(std::int64_t time_ms, const std::vector<RowedWorker>& workers) {
    top::Sample sample = SampleMaker(workers).take();
    sample.time_ms = time_ms;
    sample.master.state = MasterState::running;
    sample.master.generation = 3;
    sample.master.pid = 999;
    return sample;
}

}  // namespace drover::test
