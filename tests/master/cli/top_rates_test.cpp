#include "tests/master/cli/top_fixture.h"

#include <doctest/doctest.h>

using namespace drover;
using namespace drover::test;

TEST_CASE("rates are differences over time; the first sample has none") {
    top::Rates rates;
    const top::View& first = rates.add(sample_at(1000, {worker_sample(0, 1, 100)}));
    CHECK_FALSE(first.pace.requests.has_value());
    CHECK_FALSE(first.workers[0].pace.requests.has_value());
    CHECK(first.history.empty());
    const top::View& second = rates.add(sample_at(3000, {worker_sample(0, 1, 150)}));
    CHECK(second.pace.requests == 25);
    CHECK(second.workers[0].pace.requests == 25);
    CHECK(second.workers[0].history == std::vector<double>{25});
    CHECK_FALSE(second.pace.p50.has_value());
}

TEST_CASE("a new process in a slot begins at nothing, and the slot's history goes on") {
    top::Rates rates;
    rates.add(sample_at(1000, {worker_sample(0, 1, 100)}));
    rates.add(sample_at(2000, {worker_sample(0, 1, 140)}));
    const top::View& view = rates.add(sample_at(3000, {worker_sample(0, 2, 7)}));
    CHECK(view.workers[0].pace.requests == 7);
    CHECK(view.workers[0].history == std::vector<double>{40, 7});
}

TEST_CASE("percentiles are of what ended in between") {
    top::Rates rates;
    const auto after = [&](std::int64_t time_ms, const std::vector<std::uint64_t>& milliseconds) {
        RowedWorker worker = worker_sample(0, 1, 0);
        worker.milliseconds = milliseconds;
        const top::View& view = rates.add(sample_at(time_ms, {worker}));
        CHECK(view.pace.p99 == view.workers[0].pace.p99);
        return view.workers[0].pace;
    };
    after(1000, {500, 500, 500});
    const top::Pace pace = after(2000, {500, 500, 500, 10, 10, 12});
    CHECK(pace.p50.value() == doctest::Approx(0.010).epsilon(0.07));
    CHECK(pace.p99.value() == doctest::Approx(0.012).epsilon(0.07));
}

TEST_CASE("a label that comes back with its old total is no traffic, for all and for each worker") {
    top::Rates rates;
    RowedWorker worker = worker_sample(0, 1, 100);
    worker.requests["/c"] = 1'000'000;
    rates.add(sample_at(1000, {worker}));
    RowedWorker without = worker_sample(0, 1, 107);
    CHECK(rates.add(sample_at(2000, {without})).pace.requests == 7);
    CHECK(rates.view().workers[0].pace.requests == 7);
    worker.requests["/"] = 109;
    CHECK(rates.add(sample_at(3000, {worker})).pace.requests == 2);
    CHECK(rates.view().workers[0].pace.requests == 2);
    worker.requests["/c"] += 30;
    CHECK(rates.add(sample_at(4000, {worker})).pace.requests == 30);
    CHECK(rates.view().workers[0].pace.requests == 30);
    CHECK(rates.view().workers[0].history == std::vector<double>{7, 2, 30});
}

TEST_CASE("a worker that is new is not given what its cells held before it") {
    top::Rates rates;
    rates.add(sample_at(1000, {}));
    RowedWorker worker = worker_sample(0, 1, 1'000'000);
    worker.counts_from_nothing = false;
    CHECK(rates.add(sample_at(2000, {worker})).workers[0].pace.requests == 0);
    worker.requests["/"] += 4;
    CHECK(rates.add(sample_at(3000, {worker})).workers[0].pace.requests == 4);
}

TEST_CASE("history is a minute long") {
    top::Rates rates;
    for (int second = 1; second <= 100; ++second)
        rates.add(sample_at(second * 1000, {worker_sample(0, 1, static_cast<std::uint64_t>(second))}));
    CHECK(rates.view().history.size() == top::Rates::history_length);
    CHECK(rates.view().workers[0].history.size() == top::Rates::history_length);
}
