#include "master/cli/top/traffic.h"

#include "core/counters/counter_difference.h"

#include <string_view>

namespace drover::top {

Share share_of(const CounterDeclaration& column) noexcept {
    const std::string_view name = column.name;
    if (column.kind == CounterKind::histogram)
        return name.ends_with("_request_seconds") ? Share::latency : Share::nothing;
    if (column.kind != CounterKind::counter) return Share::nothing;
    if (name.ends_with("_requests_total")) return Share::requests;
    if (name == "drover_connections_accepted_total") return Share::accepted;
    if (name == "drover_received_bytes_total") return Share::bytes_in;
    if (name == "drover_sent_bytes_total") return Share::bytes_out;
    return Share::nothing;
}

void Traffic::add(const CounterDeclaration& column, Share share, std::span<const std::uint64_t> cells) {
    switch (share) {
        case Share::nothing:
            return;
        case Share::requests:
            requests += cells.front();
            return;
        case Share::latency:
            latency.add(column, cells.subspan(1));
            return;
        case Share::accepted:
            accepted += cells.front();
            return;
        case Share::bytes_in:
            bytes_in += cells.front();
            return;
        case Share::bytes_out:
            bytes_out += cells.front();
            return;
    }
}

TrafficBetween::TrafficBetween(const Sample& before, const Sample& now)
    : before_(before), now_(now), places_(places_before(before.rows.columns, now.rows.columns)) {
    for (const CounterReader::Sum& column : now.rows.columns)
        shares_.push_back(share_of(column));
    for (std::size_t row = 0; row < before.rows.rows.size(); ++row)
        rows_before_.emplace(before.rows.rows[row].instance, row);
}

Traffic TrafficBetween::of_all() const {
    Traffic traffic;
    for (const CounterReader::Sum& counted : counted_between(before_.sums, now_.sums)) {
        const Share share = share_of(counted);
        if (share == Share::latency)
            traffic.latency.add(counted);
        else
            traffic.add(counted, share, {&counted.value, 1});
    }
    return traffic;
}

Traffic TrafficBetween::of(const WorkerSample& worker) const {
    Traffic traffic;
    if (!worker.row) return traffic;
    const auto found = rows_before_.find(worker.status.instance);
    const bool known = found != rows_before_.end();
    std::vector<std::uint64_t> counted;
    for (std::size_t column = 0; column < shares_.size(); ++column) {
        const std::span<const std::uint64_t> cells = now_.rows.of(*worker.row, column);
        if (known && !places_[column]) continue;
        if (!known && !now_.rows.counts_from_nothing(*worker.row, column)) continue;
        counted.assign(cells.begin(), cells.end());
        if (known) {
            const auto before = before_.rows.of(found->second, *places_[column]);
            for (std::size_t i = 0; i < counted.size(); ++i)
                counted[i] = counted_between(before[i], counted[i]);
        }
        traffic.add(now_.rows.columns[column], shares_[column], counted);
    }
    return traffic;
}

}  // namespace drover::top
