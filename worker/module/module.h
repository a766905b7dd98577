// Module is the whole contract between a worker and the code that serves: derive from it, list it, and the
// listeners whose configuration names it give it their connections, or their datagrams.
//
// One object of each module lives in each process that needs it. The hooks, in the order of their calls:
//
//   hook        runs in               alive                         may fail by throwing
//   options     reader, command line  nothing but the object        no
//   counters    reader                nothing but the object        no
//   check       reader, as `user`     the checked options           yes: the text is a finding
//   counters_of reader, as `user`     the checked options           yes: the text is a finding
//   start       worker, before Ready  Services, options, modules    yes: the worker exits, a reload is
//                                     listed before this one        refused
//   connection  worker, serving       all that start made           yes: that connection is closed, counted
//   datagram    worker, serving       all that start made           yes: counted
//   adopt       worker                the same                      yes: it stays with its giver
//   prepare     worker, serving       the same, and the next           yes: the reload is refused
//                                     configuration
//   commit      worker, serving       the same; Services have the       noexcept
//                                     next configuration
//   abandon     worker, serving       the same; nothing has changed     noexcept
//   drain       worker, once          the same; what was queued may  yes: logged, and it drains on
//                                     still come for a moment
//   stop        worker, last          Services; no connection       noexcept
//
// The exception may be of any type. An exception out of a Timer, an FdWatch, posted work or the `done` of
// blocking work belongs to no hook: it is logged and ends the worker, whose connections end with it.
//
// All hooks run on the worker's one event-loop thread. Modules start in the order the pool lists them and
// stop in reverse.
#pragma once

#include "conf/options/options.h"
#include "core/counters/counter_declaration.h"
#include "worker/stream/accepted.h"

#include <memory>
#include <stdexcept>
#include <string_view>
#include <vector>

namespace drover {

class Configuration;
class Datagram;
struct Services;

// What a module's listeners may be. One of the other kind that names it is an error of the configuration.
struct Takes {
    bool connections = true;
    bool datagrams = false;  // of udp listeners
};

class Module {
  public:
    virtual ~Module() = default;

    // [a-z0-9_]+; the key of [module.NAME], and what listeners and pools call it.
    virtual std::string_view name() const noexcept = 0;
    virtual const OptionTable& options() const = 0;
    virtual Takes takes() const noexcept { return {}; }
    // With counters_of, which takes their place: one of each, with placeholders for labels, for documents.
    virtual std::vector<CounterDeclaration> counters() const { return {}; }
    // The same for modules whose counters depend on their checked options: those of each route, say. A hot
    // reload may add and retire ones with labels: prepare() looks the next ones up, and what counts by the
    // old ones holds the old Configuration as long.
    virtual std::vector<CounterDeclaration> counters_of(const ImageNode& options) const;
    // What the declaration of the options cannot say: rules across keys, files that must exist.
    virtual void check(const ImageNode& options, Complaints& complaints) const;

    virtual void start(Services& services, const ImageNode& options) = 0;
    // Of a module that takes connections; the default throws.
    virtual void connection(Accepted accepted);
    // Of a module that takes datagrams; the default throws.
    virtual void datagram(const Datagram& datagram);
    // A connection that another worker gave, with the state that its on_hand_over wrote (the same module's,
    // perhaps an older build's). Make it with open_connection as ever. Default: throws, and the connection
    // stays where it was.
    virtual void adopt(Accepted accepted, std::string_view state);
    // A hot reload, only when options of this module change: build the new state aside, to be put in place by
    // commit or let go by abandon. `next` stays alive as long as somebody holds it. Default: throws, so that
    // new workers are needed.
    virtual void prepare(const std::shared_ptr<const Configuration>& next, const ImageNode& options);
    virtual void commit() noexcept {}
    virtual void abandon() noexcept {}
    // Finish what is under way. The connections are told by Connection::on_drain. Where no other worker comes
    // after this one, connections and datagrams that waited still come for a moment.
    virtual void drain() {}
    virtual void stop() noexcept {}
};

inline std::vector<CounterDeclaration> Module::counters_of(const ImageNode&) const {
    return counters();
}
inline void Module::check(const ImageNode&, Complaints&) const {}
inline void Module::connection(Accepted) {
    throw std::logic_error("the module takes no connections");
}
inline void Module::datagram(const Datagram&) {
    throw std::logic_error("the module takes no datagrams");
}
inline void Module::adopt(Accepted, std::string_view) {
    throw std::logic_error("the module does not take connections over");
}
inline void Module::prepare(const std::shared_ptr<const Configuration>&, const ImageNode&) {
    throw std::logic_error("its options change with new workers only (drover reload --fresh)");
}

// How a program lists its modules: explicitly, in start order.
using ModuleFactory = std::unique_ptr<Module> (*)();

template <class T>
std::unique_ptr<Module> make_module() {
    return std::make_unique<T>();
}

}  // namespace drover
