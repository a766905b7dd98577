#include "core/base/json_writer.h"

#include "core/base/check.h"
#include "core/base/visible_text.h"

#include <charconv>
#include <cmath>
#include <utility>

namespace drover {

void JsonWriter::new_line() {
    if (indent_ == 0) return;
    out_.push_back('\n');
    out_.append(levels_.size() * indent_, ' ');
}

void JsonWriter::before_value() {
    if (levels_.empty()) {
        DROVER_CHECK(out_.empty());
        return;
    }
    Level& level = levels_.back();
    if (level.close == '}') {
        DROVER_CHECK(level.has_key);
        level.has_key = false;
        return;
    }
    if (!level.empty) out_.push_back(',');
    level.empty = false;
    new_line();
}

void JsonWriter::key(std::string_view name) {
    DROVER_CHECK(!levels_.empty() && levels_.back().close == '}' && !levels_.back().has_key);
    Level& level = levels_.back();
    if (!level.empty) out_.push_back(',');
    level.empty = false;
    level.has_key = true;
    new_line();
    write_text(name);
    out_.append(indent_ == 0 ? ":" : ": ");
}

void JsonWriter::begin(char bracket) {
    before_value();
    out_.push_back(bracket);
    levels_.push_back(Level{.close = bracket == '{' ? '}' : ']'});
}

void JsonWriter::end(char bracket) {
    DROVER_CHECK(!levels_.empty() && levels_.back().close == bracket && !levels_.back().has_key);
    const bool empty = levels_.back().empty;
    levels_.pop_back();
    if (!empty) new_line();
    out_.push_back(bracket);
}

void JsonWriter::value(std::string_view text) {
    before_value();
    write_text(text);
}

void JsonWriter::value(bool truth) {
    before_value();
    out_.append(truth ? "true" : "false");
}

void JsonWriter::value(double number) {
    if (!std::isfinite(number)) return null();
    before_value();
    char buffer[32];
    const auto result = std::to_chars(buffer, buffer + sizeof buffer, number);
    out_.append(buffer, result.ptr);
}

void JsonWriter::null() {
    before_value();
    out_.append("null");
}

void JsonWriter::write_signed(std::int64_t number) {
    before_value();
    out_.append(std::to_string(number));
}

void JsonWriter::write_unsigned(std::uint64_t number) {
    before_value();
    out_.append(std::to_string(number));
}

void JsonWriter::write_text(std::string_view text) {
    out_.push_back('"');
    while (!text.empty()) {
        const VisibleCharacter character(text, TextEscape::json);
        out_.append(character.bytes());
        text.remove_prefix(character.length());
    }
    out_.push_back('"');
}

std::string JsonWriter::take() {
    DROVER_CHECK(levels_.empty());
    return std::exchange(out_, {});
}

}  // namespace drover
