#include "conf/observer.h"

#include <algorithm>
#include <utility>

namespace drover {

namespace {

// What the pool's values are said to stand at: the table that they are made of.
DocumentValue make_value(const DocumentValue& table, const char* name, DocumentKind kind) {
    DocumentValue value;
    value.name = name;
    value.kind = kind;
    value.place = table.place;
    value.key_place = table.key_place;
    return value;
}

DocumentValue make_text(const DocumentValue& table, const char* name, std::string text) {
    DocumentValue value = make_value(table, name, DocumentKind::text);
    value.text = std::move(text);
    return value;
}

DocumentValue make_listener(const DocumentValue& table, const DocumentValue& listen) {
    DocumentValue address = listen;
    address.name = "address";
    DocumentValue listener = make_value(listen, "", DocumentKind::table);
    listener.children = {std::move(address), make_text(listen, "module", ObserverSettings::name)};
    DocumentValue listeners = make_value(table, "listen", DocumentKind::list);
    listeners.children.push_back(std::move(listener));
    return listeners;
}

DocumentValue make_pool(const DocumentValue& table, const DocumentValue& listen) {
    DocumentValue workers = make_value(table, "workers", DocumentKind::integer);
    workers.integer = 1;
    DocumentValue observes = make_value(table, "observes", DocumentKind::boolean);
    observes.boolean = true;
    // Few look at a service. A flood of connections must not cost memory.
    DocumentValue max_connections = make_value(table, "max_connections", DocumentKind::integer);
    max_connections.integer = 256;
    DocumentValue modules = make_value(table, "modules", DocumentKind::list);
    modules.children.push_back(make_text(table, "", ObserverSettings::name));
    DocumentValue pool = make_value(table, ObserverSettings::name, DocumentKind::table);
    pool.children = {std::move(workers), std::move(observes), std::move(max_connections), std::move(modules),
                     make_listener(table, listen)};
    return pool;
}

}  // namespace

const Options<ObserverSettings>& ObserverSettings::options() {
    static const auto table =
        Options<ObserverSettings>(
            "A process that shows what master and workers do: figures for Prometheus at /metrics, a "
            "dashboard at /. Short for a pool of this name with one worker, which observes, with the "
            "module observer.")
            .text("listen", &ObserverSettings::listen,
                  {.max_size = 256, .required = true, .allow_empty = false}, Apply::hot,
                  "Where to listen, as the address of a pool's listener. Whoever can connect may look: there "
                  "is no password.");
    return table;
}

void add_observer_pool(Document& document) {
    const DocumentValue* const table = document.root.find(ObserverSettings::name);
    const auto pools = std::ranges::find(document.root.children, "pool", &DocumentValue::name);
    if (table == nullptr || table->kind != DocumentKind::table) return;
    if (pools == document.root.children.end() || pools->kind != DocumentKind::table) return;
    if (pools->children.empty() || pools->find(ObserverSettings::name) != nullptr) return;
    const DocumentValue* const listen = table->find("listen");
    if (listen == nullptr || listen->kind != DocumentKind::text) return;
    pools->children.push_back(make_pool(*table, *listen));
}

bool is_observer_pool(const Document& document, const DocumentValue& pool) noexcept {
    const DocumentValue* const table = document.root.find(ObserverSettings::name);
    return table != nullptr && pool.name == ObserverSettings::name && pool.key_place == table->key_place;
}

std::vector<CounterDeclaration> service_figures(const std::vector<std::string>& pools) {
    std::vector<CounterDeclaration> figures;
    const auto add_state = [&figures](const char* state) {
        figures.push_back({.name = ServiceFigures::master_state,
                           .kind = CounterKind::gauge,
                           .help = "1 for the state that the master is in, else 0.",
                           .labels = {{"state", state}}});
    };
    for (const MasterState state : ServiceFigures::master_states)
        add_state(to_text(state));
    add_state(ServiceFigures::unresponsive);
    for (const std::string& pool : pools) {
        for (const WorkerState state : ServiceFigures::worker_states) {
            figures.push_back({.name = ServiceFigures::workers,
                               .kind = CounterKind::gauge,
                               .unit = "workers",
                               .help = "Workers by what they do, as the master knows it.",
                               .labels = {{"pool", pool}, {"state", to_text(state)}}});
        }
    }
    figures.push_back({.name = ServiceFigures::heartbeat_age,
                       .kind = CounterKind::gauge,
                       .unit = "seconds",
                       .help =
                           "How long ago the worker's last report came: several report_intervals mean that "
                           "it is stuck.",
                       .per_unit = 1000,
                       .scope = CounterScope::worker});
    return figures;
}

}  // namespace drover
