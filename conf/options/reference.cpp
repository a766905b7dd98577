#include "conf/options/reference.h"

#include "conf/observer.h"
#include "conf/options/option_checker.h"
#include "conf/options/value_text.h"
#include "conf/settings.h"

namespace drover {

namespace {

constexpr std::size_t line_width = 100;

constexpr const char* writing_rules[] = {
    "A duration is made of integers and units: \"250ms\", \"30s\", \"1m30s\", \"2h\", \"1d\".",
    "A size is in bytes, or an integer and a unit: 4096, \"64K\", \"64KiB\", \"16M\", \"1G\" (of 1024), "
    "\"10kB\", \"10MB\" (of 1000).",
    "A relative path starts at the directory of the main file.",
    "${NAME} in a text is the value that the environment has of NAME; ${NAME:-text} is text where it has "
    "none; $${ is ${ itself. So written a number or a boolean may come from the environment, too.",
    "include = [\"conf.d/*.toml\"], before the first table, reads more files: patterns of glob(7), "
    "relative ones from the directory of the file that they stand in. Their tables and lists of tables "
    "are added to those of this file; a key may stand in one file alone.",
};

void append_wrapped(std::string& out, std::string_view text, std::size_t indent) {
    std::size_t column = 0;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(' '), text.size());
        if (column > 0 && column + 1 + end > line_width) {
            out.push_back('\n');
            column = 0;
        }
        if (column == 0) {
            out.append(indent, ' ');
            column = indent;
        } else {
            out.push_back(' ');
            ++column;
        }
        out.append(text.substr(0, end));
        column += end;
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    if (column > 0) out.push_back('\n');
}

const char* type_name(const OptionKey& key) noexcept {
    if (key.list) return "list of texts";
    switch (key.type) {
        case ValueType::boolean:
            return "true or false";
        case ValueType::integer:
            return "integer";
        case ValueType::duration:
            return "duration";
        case ValueType::size:
            return "size";
        case ValueType::text:
            return "text";
        case ValueType::list:
            return "list";
        case ValueType::table:
            return "table";
    }
    return "value";
}

const char* apply_text(Apply apply) noexcept {
    switch (apply) {
        case Apply::hot:
            return "hot";
        case Apply::fresh:
            return "fresh";
        case Apply::restart:
            return "restart";
    }
    return "restart";
}

std::string default_text(const OptionKey& key) {
    const ImageValue value = default_value(key);
    if (key.list) return "[" + quoted_list(key.default_items) + "]";
    if (key.type == ValueType::text || !value.text.empty()) return toml_string(value.text);
    return integer_text(key.type, value.integer, true);
}

// How a reference looks: on a terminal, or as the source of a manual page.
class ReferenceWriter {
  public:
    virtual ~ReferenceWriter() = default;
    virtual void table(const std::string& heading) = 0;
    virtual void paragraph(std::string_view text) = 0;
    // `value`: " = DEFAULT" or " (required)".
    virtual void key(std::string_view name, std::string_view value, std::string_view rule,
                     std::string_view help) = 0;

    std::string text;
};

class TerminalWriter final : public ReferenceWriter {
  public:
    void table(const std::string& heading) override { text.append("\n").append(heading).append("\n"); }
    void paragraph(std::string_view words) override { append_wrapped(text, words, 0); }
    void key(std::string_view name, std::string_view value, std::string_view rule,
             std::string_view help) override {
        text.append("\n  ").append(name).append(value).append("\n");
        append_wrapped(text, rule, 6);
        append_wrapped(text, help, 6);
    }
};

class ManualWriter final : public ReferenceWriter {
  public:
    void table(const std::string& heading) override {
        text.append("\n# ").append(heading).append("\n");  // nothing is escaped in a heading
    }
    void paragraph(std::string_view words) override {
        text.append("\n").append(manual_text(words)).append("\n");
    }
    void key(std::string_view name, std::string_view value, std::string_view rule,
             std::string_view help) override {
        text.append("\n*").append(manual_text(name)).append("*").append(manual_text(value)).append("\n");
        text.append("\t").append(manual_text(rule)).append(". ").append(manual_text(help)).append("\n");
    }
};

void write_key(ReferenceWriter& writer, const OptionKey& key) {
    std::string rule = type_name(key);
    const std::string bounds = key.type == ValueType::boolean || key.list ? "" : bounds_text(key);
    if (!key.choices.empty())
        rule = "one of " + quoted_list(key.choices);
    else if (key.type != ValueType::text && !bounds.empty())
        rule += ", " + bounds;
    else if (key.list)
        rule += ", at most " + std::to_string(key.max_items);
    writer.key(key.name, is_required(key) ? " (required)" : " = " + default_text(key),
               rule + "; " + apply_text(key.apply), key.help);
}

void write_table(ReferenceWriter& writer, const OptionTable& options, const std::string& path, bool list,
                 const std::string& help) {
    writer.table(list ? "[[" + path + "]]" : "[" + path + "]");
    writer.paragraph(options.title());
    if (!help.empty() && help != options.title()) writer.paragraph(help);
    for (const OptionKey& key : options.keys())
        if (key.type != ValueType::table) write_key(writer, key);
    for (const OptionKey& key : options.keys()) {
        if (key.type != ValueType::table) continue;
        std::string note = key.help;
        if (key.list) note += " At most " + std::to_string(key.max_items) + ".";
        note += std::string(" Applied: ") + apply_text(key.apply) + ".";
        write_table(writer, *key.table, path + "." + key.name, key.list, note);
    }
}

void write_tables(ReferenceWriter& writer, std::span<const ModuleDeclaration> modules) {
    write_table(writer, MasterSettings::options(), "master", false, "");
    write_table(writer, PoolSettings::options(), "pool.NAME", false, "");
    write_table(writer, ObserverSettings::options(), ObserverSettings::name, false, "");
    for (const ModuleDeclaration& module : modules)
        if (module.options != nullptr)
            write_table(writer, *module.options, "module." + module.name, false, "");
}

}  // namespace

std::string manual_text(std::string_view text) {
    std::string result;
    for (const char c : text) {
        // Where a line begins these would be a heading, a list, a table; behind a mark they never are.
        const bool marks = c == '\\' || c == '*' || c == '_' ||
                           (result.empty() && std::string_view("#-.|[];").find(c) != std::string_view::npos);
        if (marks) result.push_back('\\');
        result.push_back(c);
    }
    return result;
}

std::string configuration_reference(std::span<const ModuleDeclaration> modules) {
    TerminalWriter writer;
    std::string& out = writer.text;
    append_wrapped(out, "The configuration is a TOML file. Every key is listed here with its default.", 0);
    out.push_back('\n');
    for (const char* const paragraph : writing_rules)
        append_wrapped(out, paragraph, 2);
    out.push_back('\n');
    append_wrapped(out, "What a reload does when the key changes:", 0);
    append_wrapped(out, "hot      running workers take it over", 2);
    append_wrapped(out, "fresh    new workers take the place of the old ones; no connection breaks", 2);
    append_wrapped(out, "restart  the reload is refused: it needs a new master", 2);
    write_tables(writer, modules);
    return writer.text;
}

std::string configuration_manual_body(std::span<const ModuleDeclaration> modules) {
    ManualWriter writer;
    writer.text = R"(
# DESCRIPTION

The configuration is a TOML file. Every key is listed here with its default.
)";
    for (const char* const paragraph : writing_rules)
        writer.paragraph(paragraph);
    writer.text += R"(
What a reload does when the key changes:

*hot*
	Running workers take it over.
*fresh*
	New workers take the place of the old ones; no connection breaks.
*restart*
	The reload is refused: it needs a new master.
)";
    write_tables(writer, modules);
    return writer.text;
}

}  // namespace drover
