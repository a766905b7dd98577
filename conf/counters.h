// The counters of a configuration: what core counts itself, what modules declare, how both lie in an image,
// and whether they fit. Runs in: the config reader (CounterList), master and worker (declared_counters).
#pragma once

#include "conf/image/image.h"
#include "core/counters/counter_declaration.h"

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace drover {

// What makes listeners' labels.
struct ListenerName {
    std::string pool;
    std::string address;  // as configured
};
std::vector<CounterLabel> listener_labels(const ListenerName& listener);
// Core's own, for these listeners. docs/observability.md says what each means.
std::vector<CounterDeclaration> core_counters(const std::vector<ListenerName>& listeners);

// The declared counters of an image (core's, then each module's), in order. Throws std::runtime_error when
// the image is not one of ours.
std::vector<CounterDeclaration> declared_counters(const Image& image);

// Collects the declarations of a configuration. Declarations that are wholly alike are one; others of one
// name must be of one family.
class CounterList {
  public:
    // `owner` declares the counter: "core", "module.http". `fault` says what is wrong with it, or that there
    // is no room: "counter "x": ...".
    using FaultHandler = std::function<void(const std::string& owner, const std::string& fault)>;
    CounterList(std::uint64_t capacity, FaultHandler on_fault);

    void add(const std::string& owner, const std::vector<CounterDeclaration>& declarations);
    // The image's "counters".
    ImageValue take() { return std::move(list_); }

  private:
    bool add_one(const CounterDeclaration& declaration);
    std::string exposition_fault(const CounterDeclaration& declaration);

    std::uint64_t capacity_;
    std::uint64_t cells_ = 0;
    FaultHandler on_fault_;
    std::map<std::string, CounterDeclaration, std::less<>> families_;  // the first of each name
    std::map<std::string, std::string> series_;  // what they are called outside; whose they are
    std::map<std::string, std::uint64_t> cells_by_owner_;
    std::map<std::string, bool> known_;  // by counter_text
    ImageValue list_{.name = "counters", .type = ValueType::list};
    bool full_ = false;
};

// How two images' counters differ, which the options alone do not show.
struct CounterDifference {
    std::uint32_t added = 0;
    std::uint32_t retired = 0;
    bool labels_only = true;  // all of these have labels: running workers can take it over
};
CounterDifference compare_counters(const ImageNode& running, const ImageNode& next);

}  // namespace drover
