// What a configuration asks for that this machine would refuse when the service starts: addresses, folders,
// logs, processors. `drover check` looks before anybody depends on it; nothing is made, written or listened
// on, and an address is tried on a port of the kernel's choice, never on the service's own. Runs in: the
// config reader of `drover check`, with the rights that the master would have.
#pragma once

#include "conf/reader/document.h"

#include <cstdint>
#include <string>
#include <vector>

namespace drover {

struct MachineFault {
    // A possible log of a module is one only when the module has declared the key as such.
    enum class Subject : std::uint8_t { service, possible_log };

    SourcePlace place;
    std::string key;   // "pool.main.listen[0].address"
    std::string text;  // what is refused, and why
    Subject subject = Subject::service;
};

// Of a document that is wrong in other ways as much as can be told.
std::vector<MachineFault> find_machine_faults(const Document& document);

}  // namespace drover
