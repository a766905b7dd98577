// How it is said that an address cannot be had: as the configuration writes the address, and with what helps.
// Runs in: the config reader, the master.
#pragma once

#include "core/net/address.h"

#include <string>
#include <string_view>
#include <system_error>

namespace drover {

// "bind *:80: Permission denied" for the failure of a listener on `address`, which the file writes "*:80".
std::string address_fault(const std::system_error& failure, const Address& address,
                          std::string_view as_written);

}  // namespace drover
