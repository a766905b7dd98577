#include "modules/http/request.h"

#include "modules/http/http_connection.h"
#include "modules/http/http_syntax.h"

namespace drover::http {

bool take_field(std::string_view& block, Field& field) noexcept {
    const std::size_t end = block.find('\r');
    if (end == std::string_view::npos) return false;
    const std::string_view line = block.substr(0, end);
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return false;
    field = {line.substr(0, colon), trim_blanks(line.substr(colon + 1))};
    block.remove_prefix(end + 2);
    return true;
}

std::optional<std::string_view> find_field(std::string_view block,
                                           std::string_view lower_case_name) noexcept {
    for (Field field; take_field(block, field);)
        if (equals_ignoring_case(field.name, lower_case_name)) return field.value;
    return std::nullopt;
}

std::string joined_fields(std::string_view block, std::string_view lower_case_name) {
    std::string list;
    for (Field field; take_field(block, field);) {
        if (equals_ignoring_case(field.name, lower_case_name))
            list.append(list.empty() ? "" : ", ").append(field.value);
    }
    return list;
}

Address Request::peer_address() const {
    return connection_.peer_address();
}

Address Request::local_address() const {
    return connection_.local_address();
}

}  // namespace drover::http
