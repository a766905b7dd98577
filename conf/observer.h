// [observer] is short for a pool: one worker with the module "observer" that observes the service, on an
// address of its own. A document that has the table gets the pool, and all that follows knows of pools alone.
// Runs in: the config reader.
#pragma once

#include "conf/document.h"
#include "conf/options.h"

#include <string_view>

namespace drover {

struct ObserverSettings {
    // What the pool and its module are called.
    static constexpr const char* name = "observer";

    std::string_view listen;  // required

    static const Options<ObserverSettings>& options();
};

// Adds the pool, after all others. Changes nothing in a document that has no [observer] or a wrong one, that
// has no pool to observe, or a pool of this name already.
void add_observer_pool(Document& document);

// The pool that was made of [observer]; false: somebody wrote it.
bool is_observer_pool(const Document& document, const DocumentValue& pool) noexcept;

}  // namespace drover
