#include "tests/support/status_view.h"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace drover::test {

using nlohmann::json;

namespace {

WorkerView parse_worker(const json& worker) {
    WorkerView view;
    view.pool = worker.at("pool").get<std::string>();
    view.slot = worker.at("slot").get<unsigned>();
    view.pid = worker.at("pid").get<pid_t>();
    view.generation = worker.at("generation").get<std::uint64_t>();
    view.state = worker.at("state").get<std::string>();
    view.connections = worker.at("connections").get<std::int64_t>();
    view.accepted = worker.at("accepted").get<std::uint64_t>();
    view.restarts = worker.at("restarts").get<std::uint64_t>();
    view.deaths = worker.at("deaths").get<std::uint64_t>();
    for (const json& death : worker.at("recent_deaths"))
        view.recent_deaths.push_back(death.at("reason").get<std::string>());
    worker.at("age_s");
    worker.at("heartbeat_age_s");
    return view;
}

}  // namespace

StatusView StatusView::parse(const std::string& text) {
    const json object = json::parse(text);
    StatusView view;
    view.version = object.at("version").get<std::string>();
    view.pid = object.at("pid").get<pid_t>();
    view.state = object.at("state").get<std::string>();
    view.generation = object.at("generation").get<std::uint64_t>();
    object.at("uptime_s");
    if (const json& reload = object.at("last_reload"); !reload.is_null()) {
        view.last_reload.emplace();
        view.last_reload->result = reload.at("result").get<std::string>();
        view.last_reload->generation = reload.at("generation").get<std::uint64_t>();
        if (const json& error = reload.at("error"); !error.is_null())
            view.last_reload->error = error.get<std::string>();
    }
    view.on_probation = !object.at("probation_s").is_null();
    for (const json& worker : object.at("workers"))
        view.workers.push_back(parse_worker(worker));
    for (const auto& [name, value] : object.at("counters").items()) {
        // Of a histogram how many were observed.
        const json& count = value.is_object() ? value.at("count") : value;
        view.counters[name] = count.get<std::int64_t>();
    }
    return view;
}

bool StatusView::serving(std::size_t count) const {
    return workers.size() == count &&
           std::all_of(workers.begin(), workers.end(), [&](const WorkerView& worker) {
               return worker.state == "serving" && worker.generation == generation;
           });
}

std::vector<pid_t> StatusView::pids() const {
    std::vector<pid_t> result;
    for (const WorkerView& worker : workers) {
        if (worker.pid > 0) result.push_back(worker.pid);
    }
    return result;
}

}  // namespace drover::test
