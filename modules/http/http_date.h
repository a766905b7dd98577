// Dates as HTTP writes and reads them (RFC 9110, 5.6.7). Runs in: worker.
#pragma once

#include <ctime>
#include <optional>
#include <string>
#include <string_view>

namespace drover::http {

// "Sun, 06 Nov 1994 08:49:37 GMT", whatever the locale.
std::string format_date(std::time_t second);

// "Jan" to "Dec"; `month` as in std::tm.
std::string_view month_name(int month) noexcept;

// That form and the two old ones that a recipient must accept; none for anything else.
std::optional<std::time_t> parse_date(std::string_view text) noexcept;

}  // namespace drover::http
