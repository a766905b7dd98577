#include "conf/image/diff.h"

#include "conf/counters.h"
#include "conf/options/value_text.h"

#include <algorithm>

namespace drover {

namespace {

constexpr std::size_t max_lines = 100;
constexpr std::size_t longest_value = 60;

Change change_of(const ImageNode& node) noexcept {
    switch (node.apply()) {
        case Apply::hot:
            return Change::hot;
        case Apply::fresh:
            return Change::fresh;
        case Apply::restart:
            return Change::restart;
    }
    return Change::restart;
}

class Comparison {
  public:
    Difference take() {
        if (left_out_ > 0) result_.lines.push_back("and " + std::to_string(left_out_) + " more");
        return std::move(result_);
    }

    void tables(const std::string& path, const ImageNode& running, const ImageNode& next) {
        for (std::uint32_t index = 0; index < running.size(); ++index) {
            const ImageNode old_child = running.child(index);
            if (!next.find(old_child.name())) vanished(join(path, old_child), old_child);
        }
        for (std::uint32_t index = 0; index < next.size(); ++index) {
            const ImageNode new_child = next.child(index);
            const ImageNode old_child = running.find(new_child.name());
            if (path.empty() && is_apart(new_child.name())) continue;
            if (!old_child)
                appeared(join(path, new_child), new_child);
            else
                values(join(path, new_child), old_child, new_child);
        }
    }

    void counters(const ImageNode& running, const ImageNode& next) {
        const CounterDifference difference = compare_counters(running, next);
        if (difference.added == 0 && difference.retired == 0) return;
        // Those with labels follow from options, which have their own lines, and are looked up by the modules
        // that prepare those. Else it is the program that has changed.
        if (difference.labels_only && result_.change >= Change::hot) return;
        add(Change::fresh, "counters",
            std::to_string(difference.added) + " added, " + std::to_string(difference.retired) + " retired");
    }

  private:
    // Where the file lies is no setting of it; counters are compared on their own; files and notes
    // follow from options, as why workers = "auto" is a number.
    static bool is_apart(std::string_view name) noexcept {
        return name == "source" || name == "directory" || name == "counters" || name == "files" ||
               name == "auto_workers" || name == "listener_notes";
    }

    static std::string join(const std::string& path, const ImageNode& node) {
        return path.empty() ? std::string(node.name()) : path + "." + std::string(node.name());
    }

    void add(Change change, const std::string& key, const std::string& what) {
        result_.change = std::max(result_.change, change);
        if (change == Change::restart) result_.restart_keys.push_back(key);
        if (result_.lines.size() < max_lines)
            result_.lines.push_back(key + ": " + what + " (" + to_text(change) + ")");
        else
            ++left_out_;
    }

    static std::string shown(const ImageNode& node) {
        return cut_text(value_text(node, false), longest_value);
    }
    // A word may mean another number by now; what is masked, or cut, may look the same.
    static std::string change_text(const ImageNode& running, const ImageNode& next) {
        const std::string before = shown(running);
        const std::string after = shown(next);
        if (before != after) return before + " -> " + after;
        const auto number = [](const ImageNode& node) {
            return " (" + integer_text(node.type(), node.integer(), false) + ")";
        };
        const bool is_word = running.type() != ValueType::list && running.type() != ValueType::text &&
                             running.type() == next.type();
        return is_word ? before + number(running) + " -> " + after + number(next)
                       : before + " -> another value";
    }
    static bool is_whole(const ImageNode& node) noexcept { return node.type() == ValueType::table; }

    void vanished(const std::string& key, const ImageNode& node) {
        add(change_of(node), key, is_whole(node) ? "removed" : shown(node) + " -> nothing");
    }
    void appeared(const std::string& key, const ImageNode& node) {
        add(change_of(node), key, is_whole(node) ? "added" : "nothing -> " + shown(node));
    }

    void values(const std::string& key, const ImageNode& running, const ImageNode& next) {
        if (running.type() == ValueType::table && next.type() == ValueType::table)
            return tables(key, running, next);
        if (same_values(running, next)) return;
        const Change change = std::max(change_of(running), change_of(next));
        if (key == "libraries") return libraries(running, next);
        if (is_list_of_tables(running) || is_list_of_tables(next)) return lists(change, key, running, next);
        add(change, key, change_text(running, next));
    }

    void libraries(const ImageNode& running, const ImageNode& next) {
        for (std::uint32_t index = 0; index < next.size(); ++index) {
            const ImageNode library = next.child(index);
            const ImageNode before = find_library(running, library);
            if (!before || !same_values(before, library))
                add(Change::fresh, library_key(library), before ? "another build" : "added");
        }
        for (std::uint32_t index = 0; index < running.size(); ++index)
            if (const ImageNode library = running.child(index); !find_library(next, library))
                add(Change::fresh, library_key(library), "removed");
    }

    static ImageNode find_library(const ImageNode& list, const ImageNode& library) noexcept {
        for (std::uint32_t index = 0; index < list.size(); ++index)
            if (same_values(list.child(index).find("path"), library.find("path"))) return list.child(index);
        return {};
    }
    static std::string library_key(const ImageNode& library) {
        return "library " + shown(library.find("path"));
    }

    // A list of tables is one value; its lines say what differs in which element.
    void lists(Change change, const std::string& key, const ImageNode& running, const ImageNode& next) {
        for (std::uint32_t index = 0; index < std::max(running.size(), next.size()); ++index) {
            const ImageNode old_element = running.child(index);
            const ImageNode new_element = next.child(index);
            const std::string element = key + "[" + std::to_string(index) + "]";
            if (!old_element)
                add(change, element, "added " + shown(new_element));
            else if (!new_element)
                add(change, element, "removed " + shown(old_element));
            else
                elements(change, element, old_element, new_element);
        }
    }

    void elements(Change change, const std::string& key, const ImageNode& running, const ImageNode& next) {
        if (same_values(running, next)) return;
        if (running.type() != ValueType::table || next.type() != ValueType::table)
            return add(change, key, change_text(running, next));
        for (std::uint32_t index = 0; index < next.size(); ++index) {
            const ImageNode new_child = next.child(index);
            const ImageNode old_child = running.find(new_child.name());
            if (!old_child || !same_values(old_child, new_child))
                add(change, join(key, new_child), change_text(old_child, new_child));
        }
        for (std::uint32_t index = 0; index < running.size(); ++index)
            if (const ImageNode old_child = running.child(index); !next.find(old_child.name()))
                add(change, join(key, old_child), shown(old_child) + " -> nothing");
    }

    Difference result_;
    std::size_t left_out_ = 0;
};

}  // namespace

const char* to_text(Change change) noexcept {
    switch (change) {
        case Change::none:
            return "none";
        case Change::hot:
            return "hot";
        case Change::fresh:
            return "fresh";
        case Change::restart:
            return "restart";
    }
    return "restart";
}

bool same_values(const ImageNode& left, const ImageNode& right) noexcept {
    if (left.type() != right.type()) return false;
    if (left.type() == ValueType::text) return left.text() == right.text();
    if (left.type() != ValueType::list && left.type() != ValueType::table)
        return left.integer() == right.integer();
    if (left.size() != right.size()) return false;
    for (std::uint32_t index = 0; index < left.size(); ++index) {
        const ImageNode child = left.child(index);
        const ImageNode other =
            left.type() == ValueType::list ? right.child(index) : right.find(child.name());
        if (!other || !same_values(child, other)) return false;
    }
    return true;
}

Difference compare(const Image& running, const Image& next) {
    Comparison comparison;
    comparison.tables("", running.root(), next.root());
    comparison.counters(running.root().find("counters"), next.root().find("counters"));
    return comparison.take();
}

}  // namespace drover
