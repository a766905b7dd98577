#include "conf/options/findings.h"

#include "conf/options/value_text.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace drover {

namespace {

// Number of insertions, deletions, replacements and swaps of neighbours that make one word of the other.
std::size_t edit_distance(std::string_view left, std::string_view right) {
    std::vector<std::vector<std::size_t>> distance(left.size() + 1,
                                                   std::vector<std::size_t>(right.size() + 1));
    for (std::size_t row = 0; row <= left.size(); ++row) {
        for (std::size_t column = 0; column <= right.size(); ++column) {
            if (row == 0 || column == 0) {
                distance[row][column] = row + column;
                continue;
            }
            const bool same = left[row - 1] == right[column - 1];
            std::size_t best = std::min({distance[row - 1][column] + 1, distance[row][column - 1] + 1,
                                         distance[row - 1][column - 1] + (same ? 0 : 1)});
            if (row > 1 && column > 1 && left[row - 1] == right[column - 2] &&
                left[row - 2] == right[column - 1])
                best = std::min(best, distance[row - 2][column - 2] + 1);
            distance[row][column] = best;
        }
    }
    return distance[left.size()][right.size()];
}

}  // namespace

Findings::Findings(const Document& document) : document_(document) {
    for (const Fault& fault : document.faults)
        fault.of_machine ? add_of_machine(fault.place, "", fault.text) : add(fault.place, "", fault.text);
}

void Findings::add(SourcePlace place, std::string_view key, std::string_view message) {
    if (lines_.size() >= max_findings) {
        ++left_out_;
        return;
    }
    std::string line = document_.place_text(place).append(": ");
    if (!key.empty()) line.append(key).append(": ");
    lines_.push_back({place, line.append(message)});
}

void Findings::add_of_machine(SourcePlace place, std::string_view key, std::string_view message) {
    ++of_machine_;
    add(place, key, message);
}

void Findings::add_unknown(SourcePlace place, std::string_view key, std::string_view what,
                           std::string_view word, std::span<const std::string> known) {
    std::string message = "unknown " + std::string(what) + " " + toml_string(cut_text(std::string(word), 60));
    // Not for those that nobody sees: a file can hold a million unknown keys.
    if (lines_.size() < max_findings) message += suggestion(word, known);
    add(place, key, message);
}

std::vector<std::string> Findings::take() {
    std::ranges::stable_sort(lines_, {}, [](const Fault& fault) {
        return std::tuple(fault.place.line == 0, fault.place.file, fault.place.line, fault.place.column);
    });
    std::vector<std::string> lines;
    for (Fault& fault : std::exchange(lines_, {}))
        lines.push_back(std::move(fault.text));
    if (left_out_ > 0) lines.push_back("and " + std::to_string(left_out_) + " more");
    left_out_ = 0;
    return lines;
}

std::string_view nearest_word(std::string_view word, std::span<const std::string> known) {
    constexpr std::size_t longest = 64;  // the distance costs the product of both lengths
    if (word.empty() || word.size() > longest) return {};
    std::string_view nearest;
    std::size_t smallest = std::max<std::size_t>(1, (word.size() + 1) / 3) + 1;
    for (const std::string& candidate : known) {
        const std::size_t distance = edit_distance(word, candidate);
        if (distance < smallest && distance < candidate.size()) {
            smallest = distance;
            nearest = candidate;
        }
    }
    return nearest;
}

std::string quoted_list(std::span<const std::string> words) {
    std::string result;
    for (const std::string& word : words)
        result.append(result.empty() ? "" : ", ").append(toml_string(word));
    return result;
}

std::string suggestion(std::string_view word, std::span<const std::string> known) {
    if (const std::string_view nearest = nearest_word(word, known); !nearest.empty())
        return "; did you mean " + toml_string(nearest) + "?";
    return known.empty() ? "" : "; known are " + quoted_list(known);
}

}  // namespace drover
