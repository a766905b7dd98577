// The columns of a counter table: which declaration has which, and when one may change hands.
#include "core/counter_table.h"
#include "core/sequence_lock.h"

#include <algorithm>
#include <map>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

namespace drover {

namespace {

using ColumnKey = std::pair<std::string_view, CounterKind>;

bool is_counter_name(std::string_view name) {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
    const auto digit = [](char c) { return c >= '0' && c <= '9'; };
    return !name.empty() && letter(name[0]) &&
           std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || digit(c); });
}

void check_declaration(const CounterDeclaration& declaration) {
    const ColumnText sizes;
    if (!is_counter_name(declaration.name)) {
        throw std::invalid_argument(fmt::format("\"{}\" is no name for a counter", declaration.name));
    }
    if (declaration.name.size() >= sizeof sizes.name || declaration.unit.size() >= sizeof sizes.unit ||
        declaration.help.size() >= sizeof sizes.help) {
        throw std::length_error(
            fmt::format("counter {}: name, unit and help have at most {}, {} and {} bytes", declaration.name,
                        sizeof sizes.name - 1, sizeof sizes.unit - 1, sizeof sizes.help - 1));
    }
}

void set_state(Column& column, ColumnState state) {
    column.state.store(static_cast<std::uint32_t>(state), std::memory_order_release);
}

}  // namespace

void CounterTable::declare(std::uint64_t generation, std::span<const CounterDeclaration> declarations) {
    for (const CounterDeclaration& declaration : declarations)
        check_declaration(declaration);
    const std::vector<std::uint32_t> chosen = choose_columns(declarations);
    const auto known = std::find_if(declared_.begin(), declared_.end(), [generation](const Declared& one) {
        return one.generation == generation;
    });
    if (known == declared_.end()) {
        declared_.push_back({.generation = generation, .holders = 1, .columns = chosen});
    } else {
        known->columns.insert(known->columns.end(), chosen.begin(), chosen.end());
        ++known->holders;
    }
    const SequenceWrite change(view_.header().columns_sequence);
    for (std::size_t i = 0; i < declarations.size(); ++i)
        assign(chosen[i], declarations[i]);
}

std::vector<std::uint32_t> CounterTable::choose_columns(
    std::span<const CounterDeclaration> declarations) const {
    std::map<ColumnKey, std::uint32_t> known;
    std::vector<bool> used = columns_used_by_rows();
    for (std::uint32_t index = 0; index < layout_.column_count; ++index) {
        const Column& column = view_.column(index);
        const ColumnState state = column_state(column);
        if (state != ColumnState::free) known[{bounded_text(column.text.name), column_kind(column)}] = index;
        if (state == ColumnState::free) used[index] = false;
        if (state == ColumnState::live) used[index] = true;
    }
    // First those that have a column: a new name must not take the retired one of a name that comes back.
    for (const CounterDeclaration& declaration : declarations) {
        const auto found = known.find({declaration.name, declaration.kind});
        if (found != known.end()) used[found->second] = true;
    }
    const auto next_unused = [&](ColumnState state) {
        std::uint32_t index = 0;
        while (index < layout_.column_count && (used[index] || column_state(view_.column(index)) != state))
            ++index;
        return index;
    };
    std::vector<std::uint32_t> chosen;
    for (const CounterDeclaration& declaration : declarations) {
        const ColumnKey key{declaration.name, declaration.kind};
        auto found = known.find(key);
        if (found == known.end()) {
            std::uint32_t index = next_unused(ColumnState::free);
            if (index == layout_.column_count) index = next_unused(ColumnState::retired);
            if (index == layout_.column_count) {
                throw std::length_error(fmt::format("no room for counter {}: all {} columns are in use",
                                                    declaration.name, layout_.column_count));
            }
            used[index] = true;
            found = known.emplace(key, index).first;
        }
        chosen.push_back(found->second);
    }
    return chosen;
}

// Between odd and even: a column that changes hands starts from nothing, one that keeps its name keeps its
// totals.
void CounterTable::assign(std::uint32_t index, const CounterDeclaration& declaration) noexcept {
    Column& column = view_.column(index);
    const bool same = column_state(column) != ColumnState::free && column_kind(column) == declaration.kind &&
                      bounded_text(column.text.name) == declaration.name;
    if (!same) {
        // A master that dies before the end leaves a free column.
        set_state(column, ColumnState::free);
        std::atomic_thread_fence(std::memory_order_release);
        for (const std::uint64_t fold : {0U, 1U})
            store_cell(view_.totals(fold)[index], 0);
        column.kind.store(static_cast<std::uint32_t>(declaration.kind), std::memory_order_relaxed);
    }
    ColumnText text;
    copy_text(text.name, declaration.name);
    copy_text(text.unit, declaration.unit);
    copy_text(text.help, declaration.help);
    store_words(&column.text, &text, sizeof text);
    set_state(column, ColumnState::live);
}

void CounterTable::forget(std::uint64_t generation) {
    std::vector<bool> declared(layout_.column_count);
    for (Declared& one : declared_) {
        if (one.generation == generation && one.holders > 0) --one.holders;
        if (one.holders == 0) continue;
        for (const std::uint32_t index : one.columns)
            declared[index] = true;
    }
    {
        const SequenceWrite change(view_.header().columns_sequence);
        for (std::uint32_t index = 0; index < layout_.column_count; ++index) {
            Column& column = view_.column(index);
            if (column_state(column) == ColumnState::live && !declared[index]) {
                set_state(column, ColumnState::retired);
            }
        }
    }
    drop_unused_generations();
}

void CounterTable::drop_unused_generations() {
    std::erase_if(declared_, [this](const Declared& one) {
        if (one.holders > 0) return false;
        for (std::uint32_t row = 0; row < layout_.row_count; ++row) {
            const RowEntry& entry = view_.row_entry(row);
            if (entry.instance.load(std::memory_order_relaxed) != 0 &&
                entry.generation.load(std::memory_order_relaxed) == one.generation) {
                return false;
            }
        }
        return true;
    });
}

std::vector<bool> CounterTable::columns_used_by_rows() const {
    std::vector<bool> used(layout_.column_count);
    for (std::uint32_t row = 0; row < layout_.row_count; ++row)
        add_row_columns(row, used);
    return used;
}

void CounterTable::add_row_columns(std::uint32_t row, std::vector<bool>& used) const {
    const RowEntry& entry = view_.row_entry(row);
    if (entry.instance.load(std::memory_order_relaxed) == 0) return;
    const std::uint64_t generation = entry.generation.load(std::memory_order_relaxed);
    const auto declared = std::find_if(declared_.begin(), declared_.end(), [generation](const Declared& one) {
        return one.generation == generation;
    });
    // What a worker of an unknown generation counts is unknown too.
    if (declared == declared_.end()) {
        used.assign(used.size(), true);
        return;
    }
    for (const std::uint32_t index : declared->columns)
        used[index] = true;
    // A worker may have counted what its generation does not declare; its row alone can say so.
    for (std::uint32_t index = 0; index < layout_.column_count; ++index) {
        if (load_cell(view_.cells(row)[index]) != 0) used[index] = true;
    }
}

}  // namespace drover
