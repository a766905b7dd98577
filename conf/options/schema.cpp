// The JSON schema (draft-07) of the configuration file.
#include "conf/observer.h"
#include "conf/options/option_checker.h"
#include "conf/options/reference.h"
#include "conf/options/value_text.h"
#include "conf/settings.h"
#include "core/base/json_writer.h"

namespace drover {

namespace {

constexpr const char* duration_pattern = "^(?=[0-9])([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$";
constexpr const char* share_pattern = "^[0-9]+%$";
constexpr const char* size_pattern = "^[0-9]+([kKmMgG]|[KMG]iB|[kMG]B)?$";
constexpr const char* variable_pattern = "[$][{].+[}]";

void write_table(JsonWriter& json, const OptionTable& options, const std::string& description);

void write_integer(JsonWriter& json, const IntegerRule& rule) {
    json.begin_object();
    json.member("type", "integer");
    json.member("minimum", rule.min);
    if (rule.max != std::numeric_limits<std::int64_t>::max()) json.member("maximum", rule.max);
    json.end_object();
}

void write_pattern(JsonWriter& json, const char* pattern) {
    json.begin_object();
    json.member("type", "string");
    json.member("pattern", pattern);
    json.end_object();
}

void write_constant(JsonWriter& json, const auto& constant) {
    json.begin_object();
    json.member("const", constant);
    json.end_object();
}

// An integer, duration or size: whatever ways there are to write it.
void write_forms(JsonWriter& json, const OptionKey& key) {
    const IntegerRule& rule = key.integer;
    json.key("anyOf");
    json.begin_array();
    if (key.type != ValueType::duration) write_integer(json, rule);
    if (key.type == ValueType::duration && rule.min <= 0) write_constant(json, 0);
    if (key.type == ValueType::duration) write_pattern(json, duration_pattern);
    if (key.type == ValueType::size) write_pattern(json, size_pattern);
    if (!rule.word.empty()) write_constant(json, rule.word);
    if (rule.resource != Resource::none && rule.word != auto_word) write_constant(json, auto_word);
    if (rule.resource == Resource::memory) write_pattern(json, share_pattern);
    write_pattern(json, variable_pattern);
    json.end_array();
}

void write_boolean(JsonWriter& json) {
    json.key("anyOf");
    json.begin_array();
    json.begin_object();
    json.member("type", "boolean");
    json.end_object();
    write_pattern(json, variable_pattern);
    json.end_array();
}

void write_text_rule(JsonWriter& json, const OptionKey& key) {
    if (!key.choices.empty()) {
        json.key("anyOf");
        json.begin_array();
        json.begin_object();
        json.key("enum");
        json.begin_array();
        for (const std::string& choice : key.choices)
            json.value(choice);
        json.end_array();
        json.end_object();
        write_pattern(json, variable_pattern);
        json.end_array();
        return;
    }
    json.member("type", "string");
    if (!key.text.allow_empty) json.member("minLength", 1);
    json.member("maxLength", key.text.max_size);
}

void write_default(JsonWriter& json, const OptionKey& key) {
    const ImageValue value = default_value(key);
    json.key("default");
    if (key.type == ValueType::boolean)
        json.value(value.integer != 0);
    else if (key.type == ValueType::text || !value.text.empty())
        json.value(value.text);
    else if (key.type == ValueType::duration && value.integer != 0)
        json.value(duration_text(value.integer));
    else
        json.value(value.integer);
}

void write_list(JsonWriter& json, const OptionKey& key) {
    json.begin_object();
    json.member("description", key.help);
    json.member("type", "array");
    json.member("maxItems", key.max_items);
    json.key("items");
    if (key.type == ValueType::table) {
        write_table(json, *key.table, key.table->title());
    } else {
        json.begin_object();
        json.member("type", "string");
        json.end_object();
        json.key("default");
        json.begin_array();
        for (const std::string& item : key.default_items)
            json.value(item);
        json.end_array();
    }
    json.end_object();
}

void write_key(JsonWriter& json, const OptionKey& key) {
    if (key.list) return write_list(json, key);
    if (key.type == ValueType::table) return write_table(json, *key.table, key.help);
    json.begin_object();
    json.member("description", key.help);
    if (key.type == ValueType::boolean)
        write_boolean(json);
    else if (key.type == ValueType::text)
        write_text_rule(json, key);
    else
        write_forms(json, key);
    if (!is_required(key)) write_default(json, key);
    json.end_object();
}

void write_table(JsonWriter& json, const OptionTable& options, const std::string& description) {
    json.begin_object();
    if (!description.empty()) json.member("description", description);
    json.member("type", "object");
    json.member("additionalProperties", false);
    json.key("properties");
    json.begin_object();
    bool any_required = false;
    for (const OptionKey& key : options.keys()) {
        any_required = any_required || is_required(key);
        json.key(key.name);
        write_key(json, key);
    }
    json.end_object();
    if (any_required) {
        json.key("required");
        json.begin_array();
        for (const OptionKey& key : options.keys())
            if (is_required(key)) json.value(key.name);
        json.end_array();
    }
    json.end_object();
}

void write_pools(JsonWriter& json) {
    json.begin_object();
    json.member("description", "The pools, each under its name.");
    json.member("type", "object");
    json.member("minProperties", 1);
    json.member("maxProperties", max_pools);
    json.member("additionalProperties", false);
    json.key("patternProperties");
    json.begin_object();
    json.key("^[a-z0-9_-]{1,63}$");
    write_table(json, PoolSettings::options(), PoolSettings::options().title());
    json.end_object();
    json.end_object();
}

void write_modules(JsonWriter& json, std::span<const ModuleDeclaration> modules) {
    static const OptionTable no_options{""};
    json.begin_object();
    json.member("description", "The options of each module, under its name.");
    json.member("type", "object");
    json.member("additionalProperties", false);
    json.key("properties");
    json.begin_object();
    for (const ModuleDeclaration& module : modules) {
        const OptionTable& options = module.options == nullptr ? no_options : *module.options;
        json.key(module.name);
        write_table(json, options, options.title());
    }
    json.end_object();
    json.end_object();
}

}  // namespace

std::string configuration_schema(std::span<const ModuleDeclaration> modules) {
    JsonWriter json(2);
    json.begin_object();
    json.member("$schema", "http://json-schema.org/draft-07/schema#");
    json.member("title", "Configuration of Drover");
    json.member("type", "object");
    json.member("additionalProperties", false);
    json.key("properties");
    json.begin_object();
    json.key("include");
    json.begin_object();
    json.member(
        "description",
        "More files, by patterns: \"conf.d/*.toml\". A relative one starts at the directory of this file.");
    json.member("type", "array");
    json.key("items");
    json.begin_object();
    json.member("type", "string");
    json.end_object();
    json.end_object();
    json.key("master");
    write_table(json, MasterSettings::options(), MasterSettings::options().title());
    json.key("pool");
    write_pools(json);
    json.key(ObserverSettings::name);
    write_table(json, ObserverSettings::options(), ObserverSettings::options().title());
    json.key("module");
    write_modules(json, modules);
    json.end_object();
    json.end_object();
    return json.take() + "\n";
}

}  // namespace drover
