#include "conf/options/options.h"

#include "conf/reader/master_files.h"
#include "core/base/check.h"

#include <charconv>
#include <stdexcept>

namespace drover {

namespace {

bool valid_name(std::string_view name) noexcept {
    if (name.empty()) return false;
    for (const char letter : name)
        if (!(letter >= 'a' && letter <= 'z') && !(letter >= '0' && letter <= '9') && letter != '_')
            return false;
    return true;
}

bool valid_default(const OptionKey& key) noexcept {
    if (key.list || key.type == ValueType::table) return true;
    if (key.type == ValueType::text)
        return key.choices.empty() || std::ranges::count(key.choices, key.text.fallback) == 1;
    const IntegerRule& rule = key.integer;
    if (rule.required) return true;
    if (rule.fallback_is_word) return !rule.word.empty();
    return rule.fallback >= rule.min && rule.fallback <= rule.max;
}

[[noreturn]] void refuse(std::string_view name, const char* what) {
    throw std::runtime_error("configuration image: " + std::string(name) + ": " + what);
}

// A required key has no default that keeps its bounds; in a table that is absent as a whole it stands at it.
bool stands_at_default(const OptionKey& key, const ImageNode& node) noexcept {
    return node.is_default() && node.integer() == key.integer.fallback && node.text() == key.text.fallback;
}

void verify_text(const OptionKey& key, std::string_view name, const ImageNode& node) {
    if (node.type() != ValueType::text) refuse(name, "not a text");
    const std::string_view text = node.text();
    if (!key.choices.empty()) {
        if (std::ranges::find(key.choices, text) == key.choices.end()) refuse(name, "not one of its choices");
        return;
    }
    if (text.size() > key.text.max_size) refuse(name, "too long");
    if (text.find('\0') != std::string_view::npos) refuse(name, "a NUL character in it");
    if (text.empty() && !key.text.allow_empty && !stands_at_default(key, node)) refuse(name, "empty");
}

void verify_value(const OptionKey& key, std::string_view name, const ImageNode& node, bool complete) {
    if (key.type == ValueType::text) return verify_text(key, name, node);
    if (node.type() != key.type) refuse(name, "of another type than declared");
    if (key.type == ValueType::table) return verify_options(*key.table, node, complete);
    const IntegerRule& rule = key.integer;
    const std::string_view word = node.text();
    if (!word.empty() && word == rule.word && node.integer() == 0) return;
    if (!word.empty() && !names_resource(rule, word)) refuse(name, "not the word that stands for 0");
    if ((node.integer() < rule.min || node.integer() > rule.max) && !stands_at_default(key, node))
        refuse(name, "out of bounds");
}

}  // namespace

std::optional<unsigned> parse_share(std::string_view text) noexcept {
    unsigned percent = 0;
    if (!text.ends_with('%')) return {};
    const char* const end = text.data() + text.size() - 1;
    const auto [rest, error] = std::from_chars(text.data(), end, percent);
    if (error != std::errc() || rest != end || percent < 1 || percent > 100) return {};
    return percent;
}

bool names_resource(const IntegerRule& rule, std::string_view text) noexcept {
    if (rule.resource == Resource::none) return false;
    return text == auto_word || (rule.resource == Resource::memory && parse_share(text));
}

const OptionKey* OptionTable::find(std::string_view name) const noexcept {
    for (const OptionKey& key : keys_)
        if (key.name == name) return &key;
    return nullptr;
}

OptionKey& OptionTable::add(OptionKey key) {
    DROVER_CHECK(valid_name(key.name));
    DROVER_CHECK(find(key.name) == nullptr);
    DROVER_CHECK(valid_default(key));
    DROVER_CHECK(!key.text.master_file || may_be_master_file(key.name));
    return keys_.emplace_back(std::move(key));
}

void verify_options(const OptionTable& options, const ImageNode& table, bool complete) {
    if (table && table.type() != ValueType::table) refuse(table.name(), "not a table");
    for (const OptionKey& key : options.keys()) {
        const ImageNode node = table.find(key.name);
        if (!node) {
            if (complete) refuse(key.name, "missing");
            continue;
        }
        if (!key.list) {
            verify_value(key, key.name, node, complete);
            continue;
        }
        if (node.type() != ValueType::list) refuse(key.name, "not a list");
        if (node.size() > key.max_items) refuse(key.name, "has too many elements");
        for (std::uint32_t index = 0; index < node.size(); ++index)
            verify_value(key, key.name, node.child(index), complete);
    }
}

}  // namespace drover
