#include "conf/reader/document.h"

#include <algorithm>
#include <utility>

namespace drover {

const char* to_text(DocumentKind kind) noexcept {
    switch (kind) {
        case DocumentKind::boolean:
            return "a boolean";
        case DocumentKind::integer:
            return "an integer";
        case DocumentKind::number:
            return "a number with a fraction";
        case DocumentKind::text:
            return "a text";
        case DocumentKind::list:
            return "a list";
        case DocumentKind::table:
            return "a table";
        case DocumentKind::date:
            return "a date";
        case DocumentKind::unread:
            return "a value that cannot be read";
    }
    return "a value";
}

const DocumentValue* DocumentValue::find(std::string_view child) const noexcept {
    if (kind != DocumentKind::table) return nullptr;
    for (const DocumentValue& value : children)
        if (value.name == child) return &value;
    return nullptr;
}

DocumentValue* DocumentValue::find(std::string_view child) noexcept {
    return const_cast<DocumentValue*>(std::as_const(*this).find(child));
}

bool DocumentValue::has_unread() const noexcept {
    return kind == DocumentKind::unread || std::ranges::any_of(children, &DocumentValue::has_unread);
}

std::string Document::place_text(SourcePlace place) const {
    const std::string& file = place.file < files.size() ? files[place.file] : path;
    if (place.line == 0) return file;
    return file + ":" + std::to_string(place.line) + ":" + std::to_string(place.column);
}

}  // namespace drover
