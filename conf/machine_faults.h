// What a configuration asks for that this machine would refuse when the service starts: addresses, folders,
// logs, processors. `drover check` looks before anybody depends on it; nothing is made, written or listened
// on, and an address is tried on a port of the kernel's choice, never on the service's own. Runs in: the
// config reader of `drover check`, with the rights that the master would have.
#pragma once

#include "conf/document.h"

#include <string>
#include <vector>

namespace drover {

struct MachineFault {
    std::string place;  // "FILE:LINE:COLUMN: pool.main.listen[0].address"
    std::string text;   // what is refused, and why
    bool module_log =
        false;  // of a key that may be a log: to be left out when the module has declared no such
};

// In the file's order. Of a document that is wrong in other ways as much as can be told.
std::vector<MachineFault> find_machine_faults(const Document& document);

}  // namespace drover
