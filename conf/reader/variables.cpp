#include "conf/reader/variables.h"

#include "conf/options/value_text.h"
#include "core/base/utf8.h"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

namespace drover {

namespace {

constexpr std::string_view opening = "${";

bool is_name(std::string_view text) noexcept {
    const auto in_name = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    };
    return !text.empty() && !(text.front() >= '0' && text.front() <= '9') &&
           std::ranges::all_of(text, in_name);
}

// `inside` stands between the braces.
std::string value_of(std::string_view inside) {
    const std::size_t separator = inside.find(":-");
    const std::string name(inside.substr(0, separator));
    if (!is_name(name))
        throw std::invalid_argument(
            "${" + cut_text(std::string(inside), 60) +
            "} names no variable; write ${NAME} or ${NAME:-default}, and $${ for a ${ that "
            "is meant as it is");
    const char* const value = std::getenv(name.c_str());
    const bool has_default = separator != std::string_view::npos;
    if (has_default && (value == nullptr || *value == '\0')) return std::string(inside.substr(separator + 2));
    if (value == nullptr)
        throw std::invalid_argument("the environment has no " + name + "; set it, or write ${" + name +
                                    ":-default}");
    if (utf8_prefix(value) != std::string_view(value).size())
        throw std::invalid_argument("the value of " + name + " in the environment is not UTF-8");
    return value;
}

struct Expansion {
    const std::function<void(SourcePlace, const std::string&)>& on_fault;
    std::size_t& room;

    void expand(DocumentValue& value) {
        for (DocumentValue& child : value.children)
            expand(child);
        if (value.kind != DocumentKind::text || value.text.find(opening) == std::string::npos) return;
        try {
            value.text = expand_variables(value.text, room);
            value.is_expanded = true;
            room -= value.text.size();
        } catch (const std::invalid_argument& fault) {
            on_fault(value.place, fault.what());
            value.kind = DocumentKind::unread;
            value.text.clear();
        }
    }
};

}  // namespace

std::string expand_variables(std::string_view text, std::size_t room) {
    std::string result;
    for (;;) {
        if (result.size() + text.size() > room)
            throw std::invalid_argument("texts with values of the environment have more than " +
                                        size_text(static_cast<std::int64_t>(max_config_bytes)));
        const std::size_t at = text.find(opening);
        if (at == std::string_view::npos) return result.append(text);
        const bool is_literal = at > 0 && text[at - 1] == '$';
        if (is_literal) {
            result.append(text.substr(0, at - 1)).append(opening);
            text.remove_prefix(at + opening.size());
            continue;
        }
        result.append(text.substr(0, at));
        text.remove_prefix(at + opening.size());
        const std::size_t end = text.find('}');
        if (end == std::string_view::npos)
            throw std::invalid_argument("${ without a }; write $${ for a ${ that is meant as it is");
        result.append(value_of(text.substr(0, end)));
        text.remove_prefix(end + 1);
    }
}

std::string variable_hint(std::string_view text) {
    const std::size_t at = text.find('$');
    if (at == std::string_view::npos) return "";
    const std::string_view rest = text.substr(at + 1);
    std::size_t size = 0;
    while (is_name(rest.substr(0, size + 1)) && size < rest.size())
        ++size;
    const std::string name(rest.substr(0, size));
    return size == 0 ? "" : "; ${" + name + "} is the environment's value of " + name;
}

void expand_variables(DocumentValue& value, std::size_t& room,
                      const std::function<void(SourcePlace place, const std::string& fault)>& on_fault) {
    Expansion{on_fault, room}.expand(value);
}

}  // namespace drover
