#include "conf/reader/address_fault.h"

namespace drover {

std::string address_fault(const std::system_error& failure, const Address& address,
                          std::string_view as_written) {
    std::string text = failure.what();
    // Of a unix socket the whole path says more than one that is relative to the file.
    const std::size_t at = address.is_unix() ? text.npos : text.find(address.text());
    if (at != text.npos) text.replace(at, address.text().size(), as_written);
    if (failure.code() == std::errc::address_not_available)
        text += "; freebind = true listens on an address that the machine does not have yet";
    return text;
}

}  // namespace drover
