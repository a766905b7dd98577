#include "conf/document.h"

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
    }
    return "a value";
}

const DocumentValue* DocumentValue::find(std::string_view child) const noexcept {
    if (kind != DocumentKind::table) return nullptr;
    for (const DocumentValue& value : children)
        if (value.name == child) return &value;
    return nullptr;
}

std::string Document::place_text(SourcePlace place) const {
    const std::string& file = place.file < files.size() ? files[place.file] : path;
    if (place.line == 0) return file;
    return file + ":" + std::to_string(place.line) + ":" + std::to_string(place.column);
}

}  // namespace drover
