#include "conf/options/option_checker.h"

#include "conf/options/directory_error.h"
#include "conf/options/value_text.h"
#include "conf/reader/master_files.h"
#include "conf/reader/variables.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <optional>
#include <system_error>

#include <unistd.h>

namespace drover {

namespace {

constexpr std::size_t quoted_limit = 60;  // of a value of the file in a message

std::string quoted(const std::string& text) {
    return toml_string(cut_text(text, quoted_limit));
}

const char* expected_kind(const OptionKey& key) noexcept {
    if (key.list) return key.type == ValueType::table ? "a list of tables" : "a list of texts";
    switch (key.type) {
        case ValueType::boolean:
            return "a boolean";
        case ValueType::integer:
            return "an integer";
        case ValueType::duration:
            return "a duration such as \"30s\"";
        case ValueType::size:
            return "a size such as 4096 or \"64K\"";
        case ValueType::text:
            return "a text";
        case ValueType::list:
            return "a list";
        case ValueType::table:
            return "a table";
    }
    return "a value";
}

// The words that the rule takes: `"off", "auto" or a share such as "25%"`.
std::string words_text(const IntegerRule& rule) {
    std::string text = rule.word.empty() ? "" : toml_string(rule.word);
    if (rule.resource != Resource::none && rule.word != auto_word)
        text.append(text.empty() ? "" : ", ").append(toml_string(auto_word));
    return rule.resource == Resource::memory ? text + " or a share such as \"25%\"" : text;
}

// The value of one key, being checked.
struct KeyCheck {
    const OptionKey& key;
    const DocumentValue& value;
    const std::string& path;
    Findings& findings;

    void add(const std::string& message) const { findings.add(value.place, path, message); }
    void wrong_type() const {
        if (value.kind == DocumentKind::unread) return;
        if (key.list && key.type == ValueType::table && value.kind == DocumentKind::table)
            return add("is a list of tables; write [[" + path + "]], with two brackets on each side");
        if (key.type == ValueType::text && !key.list && value.kind == DocumentKind::integer)
            return add("expected a text, not an integer; a text stands in quotes: \"" +
                       std::to_string(value.integer) + "\"");
        std::string expected = expected_kind(key);
        if (const std::string words = words_text(key.integer); !words.empty()) expected += " or " + words;
        add("expected " + expected + ", not " + to_text(value.kind) + variable_hint(value.text));
    }
};

// Of the environment everything comes as a text.
std::optional<std::int64_t> number_of_text(ValueType type, std::string_view text) noexcept {
    if (type == ValueType::boolean && text == "true") return 1;
    if (type == ValueType::boolean && text == "false") return 0;
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (type != ValueType::integer || error != std::errc() || end != text.data() + text.size()) return {};
    return number;
}

void miss_unit(const KeyCheck& check, std::int64_t number) {
    check.add(std::to_string(number) + " has no unit; a duration is written like \"" +
              std::to_string(std::max<std::int64_t>(number, 1)) + "s\" (units ms, s, m, h, d)");
}

std::optional<std::int64_t> read_integer(const KeyCheck& check) {
    const DocumentValue& value = check.value;
    const ValueType type = check.key.type;
    if (value.is_expanded)
        if (const auto number = number_of_text(type, value.text)) return number;
    if (type == ValueType::boolean) {
        if (value.kind == DocumentKind::boolean) return value.boolean ? 1 : 0;
        check.wrong_type();
        return {};
    }
    if (value.kind == DocumentKind::integer) {
        if (type != ValueType::duration || value.integer == 0) return value.integer;
        miss_unit(check, value.integer);
        return {};
    }
    if (value.kind != DocumentKind::text || type == ValueType::integer) {
        const std::string words = words_text(check.key.integer);
        if (value.kind == DocumentKind::text && (value.is_expanded || !words.empty()))
            check.add("expected an integer" + (words.empty() ? "" : " or " + words) + ", not " +
                      quoted(value.text) + variable_hint(value.text));
        else
            check.wrong_type();
        return {};
    }
    const auto number = type == ValueType::duration ? parse_duration(value.text) : parse_size(value.text);
    if (const auto bare = number_of_text(ValueType::integer, value.text); !number && bare) {
        if (type == ValueType::size) return bare;  // negative: bytes, but too few
        miss_unit(check, *bare);
    } else if (!number) {
        const char* rule = type == ValueType::duration ? " is not a duration; write integers, each with one "
                                                         "of d, h, m, s, ms, such as \"30s\" or \"1m30s\""
                                                       : " is not a size; write bytes, or an integer "
                                                         "with K, M, G (1024) or kB, MB, GB (1000), such "
                                                         "as \"64K\"";
        const std::string words = words_text(check.key.integer);
        check.add(quoted(value.text) + rule + (words.empty() ? "" : ", or " + words) +
                  variable_hint(value.text));
    }
    return number;
}

void check_integer(const KeyCheck& check, ImageValue& result) {
    const IntegerRule& rule = check.key.integer;
    const std::string& word = check.value.text;
    const bool is_word = !word.empty() && (word == rule.word || names_resource(rule, word));
    if (is_word && check.value.kind == DocumentKind::text) {
        result.integer = 0;
        result.text = word;
        return;
    }
    const auto number = read_integer(check);
    if (!number) return;
    if (*number < rule.min || *number > rule.max) {
        check.add(integer_text(check.key.type, *number, false) +
                  " is out of bounds; allowed: " + bounds_text(check.key));
        return;
    }
    result.integer = *number;
    result.text.clear();
}

// What to do instead of keys that many look for; empty: none of these.
std::string_view advice_on(std::string_view key) noexcept {
    if (key == "include") return "include stands before the first [table] of a file";
    if (key == "tls" || key == "ssl" || key.starts_with("tls_") || key.starts_with("ssl_") ||
        key == "certificate")
        return "this version has no TLS; let a proxy in front of it end TLS";
    return "";
}

// The check runs as the workers' user: the directory must exist, and that user must be able to enter it.
void check_directory(const KeyCheck& check) {
    const Document& document = check.findings.document();
    const std::string path =
        (std::filesystem::path(document.directory) / check.value.text).lexically_normal();
    const int error = directory_error(path, X_OK);
    if (error == 0 || (error == EACCES && !document.user_is_known)) return;
    check.findings.add_of_machine(
        check.value.place, check.path,
        toml_string(path) + " cannot be used as a directory: " + std::generic_category().message(error) +
            variable_hint(check.value.text));
}

void check_text(const KeyCheck& check, ImageValue& result) {
    const OptionKey& key = check.key;
    const std::string& text = check.value.text;
    if (check.value.kind != DocumentKind::text) {
        check.wrong_type();
    } else if (!key.choices.empty()) {
        if (std::ranges::find(key.choices, text) == key.choices.end()) {
            const std::string_view nearest = nearest_word(text, key.choices);
            check.add(quoted(text) + " is not among its choices: " + quoted_list(key.choices) +
                      (nearest.empty() ? "" : "; did you mean " + toml_string(nearest) + "?"));
            return;
        }
        result.text = text;
    } else if (text.empty() && !key.text.allow_empty) {
        check.add("must not be empty");
    } else if (text.find('\0') != std::string::npos) {
        check.add("must not contain a NUL character");
    } else if (text.size() > key.text.max_size) {
        check.add("has " + std::to_string(text.size()) + " bytes; at most " +
                  std::to_string(key.text.max_size) + " are allowed");
    } else if (const std::string fault = key.text.master_file ? master_file_fault(text) : "";
               !fault.empty()) {
        check.add(quoted(text) + fault);
    } else {
        result.text = text;
        if (key.text.directory && !text.empty()) check_directory(check);
    }
}

ImageValue check_one(const KeyCheck& check) {
    if (check.key.type == ValueType::table) {
        if (expect_kind(check.value, DocumentKind::table, check.path, check.findings))
            return check_table(*check.key.table, check.value, check.path, check.findings);
        return default_table(*check.key.table);
    }
    ImageValue result = check.key.list ? ImageValue{} : default_value(check.key);
    result.type = check.key.type;
    result.is_default = false;
    if (check.key.type == ValueType::text)
        check_text(check, result);
    else
        check_integer(check, result);
    return result;
}

void check_list(const KeyCheck& check, ImageValue& result) {
    if (check.value.kind != DocumentKind::list) return check.wrong_type();
    if (check.value.children.size() > check.key.max_items)
        return check.add("has " + std::to_string(check.value.children.size()) + " elements; at most " +
                         std::to_string(check.key.max_items) + " are allowed");
    OptionKey element = check.key;
    element.list = false;
    result.children.clear();
    for (const DocumentValue& child : check.value.children) {
        const std::string path = check.path + "[" + std::to_string(result.children.size()) + "]";
        ImageValue value = check_one({element, child, path, check.findings});
        value.name.clear();
        value.apply = check.key.apply;
        result.children.push_back(std::move(value));
    }
}

}  // namespace

bool is_required(const OptionKey& key) noexcept {
    if (key.list || key.type == ValueType::table) return false;
    return key.type == ValueType::text ? key.text.required : key.integer.required;
}

ImageValue default_value(const OptionKey& key) {
    ImageValue value{.name = key.name, .type = key.list ? ValueType::list : key.type, .apply = key.apply};
    value.is_default = true;
    if (key.list) {
        for (const std::string& item : key.default_items)
            value.children.push_back(ImageValue{.type = key.type,
                                                .apply = key.apply,
                                                .is_default = true,
                                                .masking = key.masking,
                                                .text = item});
    } else if (key.type == ValueType::table) {
        value.children = default_table(*key.table).children;
    } else if (key.type == ValueType::text) {
        value.text = key.text.fallback;
        value.masking = key.masking;
    } else if (key.integer.fallback_is_word) {
        value.text = key.integer.word;
    } else {
        value.integer = key.integer.fallback;
    }
    return value;
}

std::string bounds_text(const OptionKey& key) {
    const IntegerRule& rule = key.integer;
    const auto bound = [&](std::int64_t value) { return integer_text(key.type, value, false); };
    constexpr auto lowest = std::numeric_limits<std::int64_t>::min();
    constexpr auto highest = std::numeric_limits<std::int64_t>::max();
    std::string result;
    if (rule.max < highest)
        result = bound(rule.min) + " to " + bound(rule.max);
    else if (rule.min != lowest)
        result = "at least " + bound(rule.min);
    if (const std::string words = words_text(rule); !words.empty())
        result += (result.empty() ? "or " : ", or ") + words;
    return result;
}

std::vector<std::string> key_names(const OptionTable& options) {
    std::vector<std::string> names;
    for (const OptionKey& key : options.keys())
        names.push_back(key.name);
    return names;
}

bool expect_kind(const DocumentValue& value, DocumentKind kind, const std::string& path, Findings& findings) {
    if (value.kind == kind) return true;
    if (value.kind == DocumentKind::unread) return false;
    const bool is_doubled = kind == DocumentKind::table && value.kind == DocumentKind::list &&
                            !value.children.empty() && value.children.front().kind == DocumentKind::table;
    if (is_doubled)
        findings.add(value.place, path, "is one table; write [" + path + "], with one bracket on each side");
    else
        findings.add(value.place, path,
                     std::string("expected ") + to_text(kind) + ", not " + to_text(value.kind));
    return false;
}

ImageValue default_table(const OptionTable& options) {
    ImageValue table{.type = ValueType::table, .is_default = true};
    for (const OptionKey& key : options.keys())
        table.children.push_back(default_value(key));
    return table;
}

ImageValue check_table(const OptionTable& options, const DocumentValue& table, const std::string& path,
                       Findings& findings) {
    ImageValue result{.type = ValueType::table};
    const std::vector<std::string> known = key_names(options);
    for (const DocumentValue& value : table.children) {
        if (options.find(value.name) != nullptr) continue;
        if (const std::string_view known_wish = advice_on(value.name); !known_wish.empty())
            findings.add(value.key_place, path,
                         "unknown key " + toml_string(value.name) + "; " + std::string(known_wish));
        else
            findings.add_unknown(value.key_place, path, "key", value.name, known);
    }
    for (const OptionKey& key : options.keys()) {
        const DocumentValue* value = table.find(key.name);
        ImageValue checked = default_value(key);
        if (value != nullptr) {
            const std::string key_path = path + "." + key.name;
            const KeyCheck check{key, *value, key_path, findings};
            if (key.list)
                check_list(check, checked);
            else
                checked = check_one(check);
            checked.name = key.name;
            checked.apply = key.apply;
            checked.is_default = false;
        } else if (is_required(key)) {
            findings.add(
                table.place, path,
                "the key " + toml_string(key.name) + " is missing; " + expected_kind(key) + " is required");
        }
        result.children.push_back(std::move(checked));
    }
    return result;
}

}  // namespace drover
