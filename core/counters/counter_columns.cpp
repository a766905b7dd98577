// The columns of a counter table: which declaration has which, and when one may change hands.
#include "core/counters/counter_table.h"
#include "core/memory/sequence_lock.h"

#include <algorithm>
#include <functional>
#include <map>
#include <stdexcept>

#include <fmt/format.h>

namespace drover {

namespace {

enum class CellState : std::uint8_t { free, retired, used };

std::string described(const CounterDeclaration& declaration) {
    const std::string owner = declaration.owner.empty() ? "" : " of " + declaration.owner;
    return fmt::format("{} {}{}", to_text(declaration.kind),
                       counter_text(declaration.name, declaration.labels), owner);
}

}  // namespace

struct CounterTable::Plan {
    struct Place {
        std::uint32_t index = 0;
        CellRange cells;
    };

    void evict(CellRange range);
    void take(const Place& place);
    std::optional<CellRange> find_run(std::uint32_t count, bool also_retired, std::uint32_t from,
                                      const std::function<bool(std::uint32_t)>& fits) const;
    std::uint32_t find_column(std::span<const KnownColumn> columns) const;

    std::vector<Place> places;  // one for each declaration
    std::map<std::uint64_t, Place> known;
    std::vector<bool> given;           // columns that are live, in use, or given in this plan
    std::vector<CellState> cells;      // one for each of a row
    std::vector<std::uint32_t> owner;  // of retired cells
    std::vector<Place> retired;        // columns whose cells may be given away
    std::vector<std::uint32_t> evicted;
    std::uint32_t next_cell = 0;  // where free ones are looked for first
    std::uint32_t columns_used = 0;
    std::uint32_t cells_used = 0;
};

// Retired columns that lose one cell lose all.
void CounterTable::Plan::evict(CellRange range) {
    for (std::uint32_t cell = range.first; cell < range.first + range.count; ++cell) {
        if (cells[cell] != CellState::retired) continue;
        const auto loser = std::ranges::find(retired, owner[cell], &Place::index);
        evicted.push_back(loser->index);
        for (std::uint32_t i = 0; i < loser->cells.count; ++i)
            cells[loser->cells.first + i] = CellState::free;
    }
}

void CounterTable::Plan::take(const Place& place) {
    const std::uint32_t end = place.cells.first + place.cells.count;
    std::fill(cells.begin() + place.cells.first, cells.begin() + end, CellState::used);
    given[place.index] = true;
    columns_used = std::max(columns_used, place.index + 1);
    cells_used = std::max(cells_used, end);
    places.push_back(place);
}

std::optional<CellRange> CounterTable::Plan::find_run(std::uint32_t count, bool also_retired,
                                                      std::uint32_t from,
                                                      const std::function<bool(std::uint32_t)>& fits) const {
    std::uint32_t length = 0;
    for (std::uint32_t cell = from; cell < cells.size(); ++cell) {
        const bool good =
            cells[cell] == CellState::free || (also_retired && cells[cell] == CellState::retired);
        length = good && fits(cell) ? length + 1 : 0;
        if (length == count) return CellRange{cell + 1 - count, count};
    }
    return std::nullopt;
}

// There are as many columns as cells, so that there is one for whoever has a cell.
std::uint32_t CounterTable::Plan::find_column(std::span<const KnownColumn> columns) const {
    std::uint32_t index = 0;
    while (given[index] || (index < columns.size() && columns[index].state != ColumnState::free &&
                            std::ranges::find(evicted, index) == evicted.end()))
        ++index;
    return index;
}

void CounterTable::declare(std::uint64_t generation, std::span<const CounterDeclaration> declarations) {
    for (const CounterDeclaration& declaration : declarations) {
        if (const std::string fault = declaration_fault(declaration); !fault.empty())
            throw std::invalid_argument(described(declaration) + ": " + fault);
    }
    Plan plan;
    plan_known(declarations, plan);
    for (const CounterDeclaration& declaration : declarations)
        plan_new(declaration, plan);
    reserve(plan.columns_used, plan.cells_used);

    std::vector<std::uint32_t> chosen;
    for (const Plan::Place& place : plan.places)
        chosen.push_back(place.index);
    const auto known = std::ranges::find(declared_, generation, &Declared::generation);
    if (known == declared_.end()) {
        declared_.push_back({.generation = generation, .holders = 1, .columns = std::move(chosen)});
    } else {
        known->columns.insert(known->columns.end(), chosen.begin(), chosen.end());
        ++known->holders;
    }
    columns_.resize(plan.columns_used);
    totals_.resize(plan.cells_used);
    const SequenceWrite change = change_columns();
    for (const std::uint32_t index : plan.evicted)
        set_state(index, ColumnState::free);
    for (std::size_t i = 0; i < declarations.size(); ++i)
        assign(plan.places[i].index, plan.places[i].cells, declarations[i]);
    view_.header().columns_used.store(plan.columns_used, std::memory_order_relaxed);
    view_.header().cells_used.store(plan.cells_used, std::memory_order_relaxed);
}

SequenceWrite CounterTable::change_columns() noexcept {
    columns_sequence_ += 2;
    return {view_.header().columns_sequence, columns_sequence_ - 1};
}

void CounterTable::set_state(std::uint32_t index, ColumnState state) noexcept {
    columns_[index].state = state;
    view_.column(index).state.store(static_cast<std::uint32_t>(state), std::memory_order_release);
}

// What there is. First come those that have a column: nobody new must take the retired one of a declaration
// that comes back.
void CounterTable::plan_known(std::span<const CounterDeclaration> declarations, Plan& plan) const {
    plan.columns_used = static_cast<std::uint32_t>(columns_.size());
    plan.cells_used = static_cast<std::uint32_t>(totals_.size());
    plan.given = columns_in_use();
    std::fill(plan.given.begin() + plan.columns_used, plan.given.end(), false);
    plan.cells.resize(layout_.cell_count);
    plan.owner.resize(layout_.cell_count);
    std::vector<Plan::Place> all;
    for (std::uint32_t index = 0; index < columns_.size(); ++index) {
        const KnownColumn& column = columns_[index];
        if (column.state == ColumnState::free) {
            plan.given[index] = false;
            continue;
        }
        if (column.state == ColumnState::live) plan.given[index] = true;
        all.push_back({index, column.cells});
        plan.known[column.key] = all.back();
    }
    for (const CounterDeclaration& declaration : declarations) {
        const auto found = plan.known.find(column_key(declaration));
        if (found == plan.known.end()) continue;
        const KnownColumn& column = columns_[found->second.index];
        if (column.name != declaration.name || column.labels != declaration.labels)
            throw std::invalid_argument(described(declaration) + ": its key is another one's; rename it");
        plan.given[found->second.index] = true;
    }
    for (const Plan::Place& place : all) {
        const bool used = plan.given[place.index];
        if (!used) plan.retired.push_back(place);
        for (std::uint32_t cell = place.cells.first; cell < place.cells.first + place.cells.count; ++cell) {
            plan.cells[cell] = used ? CellState::used : CellState::retired;
            plan.owner[cell] = place.index;
        }
    }
}

void CounterTable::plan_new(const CounterDeclaration& declaration, Plan& plan) const {
    const std::uint64_t key = column_key(declaration);
    if (const auto found = plan.known.find(key); found != plan.known.end())
        return plan.places.push_back(found->second);
    const std::uint32_t count = cells_of(declaration);
    // The counts of living workers in a reused cell are taken off its total; a gauge has no total.
    const auto fits = [&](std::uint32_t cell) {
        return declaration.kind != CounterKind::gauge || is_clean(cell);
    };
    std::optional<CellRange> cells = plan.find_run(count, false, plan.next_cell, fits);
    if (!cells) cells = plan.find_run(count, false, 0, fits);
    if (!cells) cells = plan.find_run(count, true, 0, fits);
    if (!cells) {
        throw std::length_error(fmt::format("no room for {}: it takes {} of {} cells, and {} are in use",
                                            described(declaration), count, layout_.cell_count,
                                            std::ranges::count(plan.cells, CellState::used)));
    }
    plan.next_cell = cells->first + count;
    plan.evict(*cells);
    const Plan::Place place{plan.find_column(columns_), *cells};
    plan.take(place);
    plan.known[key] = place;
}

// No row that is taken has anything in it.
bool CounterTable::is_clean(std::uint32_t cell) const noexcept {
    if (cell >= totals_.size()) return true;
    return std::ranges::none_of(
        rows_, [cell](const Row& row) { return row.instance != 0 && load_cell(row.cell(cell)) != 0; });
}

// Between odd and even: a column that changes hands starts from nothing, one that keeps its key keeps its
// totals.
void CounterTable::assign(std::uint32_t index, CellRange cells, const CounterDeclaration& declaration) {
    Column& column = view_.column(index);
    KnownColumn& known = columns_[index];
    const std::uint64_t key = column_key(declaration);
    if (known.state == ColumnState::free || known.key != key) {
        known = {.key = key,
                 .kind = declaration.kind,
                 .cells = cells,
                 .name = declaration.name,
                 .labels = declaration.labels};
        // A master that dies before the end leaves a free column.
        set_state(index, ColumnState::free);
        std::atomic_thread_fence(std::memory_order_release);
        bool reused = false;
        for (std::uint32_t i = 0; i < cells.count; ++i)
            reused = start_from_nothing(cells.first + i) || reused;
        column.reused_at.store(reused ? columns_sequence_ - 1 : 0, std::memory_order_relaxed);
        column.kind.store(static_cast<std::uint32_t>(declaration.kind), std::memory_order_relaxed);
        column.first_cell.store(cells.first, std::memory_order_relaxed);
        column.cell_count.store(cells.count, std::memory_order_relaxed);
        column.key.store(key, std::memory_order_relaxed);
        column.min.store(declaration.bounds.min, std::memory_order_relaxed);
        column.max.store(declaration.bounds.max, std::memory_order_relaxed);
    }
    column.per_unit.store(declaration.per_unit, std::memory_order_relaxed);
    column.scope.store(static_cast<std::uint32_t>(declaration.scope), std::memory_order_relaxed);
    ColumnText text;
    copy_text(text.name, declaration.name);
    copy_text(text.unit, declaration.unit);
    copy_text(text.help, declaration.help);
    copy_text(text.labels, encode_labels(declaration.labels));
    store_words(&view_.text(index), &text, sizeof text);
    set_state(index, ColumnState::live);
}

// Modulo 2^64: what living workers have left in the cell is taken off now and comes back when they are
// folded. True when there is any.
bool CounterTable::start_from_nothing(std::uint32_t cell) noexcept {
    std::uint64_t left = 0;
    bool any = false;
    for (const Row& row : rows_) {
        if (row.instance == 0) continue;
        const std::uint64_t counted = load_cell(row.cell(cell));
        left += counted;
        any = any || counted != 0;
    }
    totals_[cell] = 0 - left;
    for (const std::uint64_t fold : {0U, 1U})
        store_cell(view_.totals(fold)[cell], totals_[cell]);
    return any;
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
        const SequenceWrite change = change_columns();
        for (std::uint32_t index = 0; index < columns_.size(); ++index) {
            if (columns_[index].state == ColumnState::live && !declared[index])
                set_state(index, ColumnState::retired);
        }
    }
    drop_unused_generations();
}

bool CounterTable::row_uses(const Row& row, std::uint64_t generation) noexcept {
    if (row.instance == 0) return false;
    return row.generation == generation || std::ranges::find(row.older, generation) != row.older.end();
}

void CounterTable::drop_unused_generations() {
    std::erase_if(declared_, [this](const Declared& one) {
        const auto uses = [&one](const Row& row) { return row_uses(row, one.generation); };
        return one.holders == 0 && std::ranges::none_of(rows_, uses);
    });
}

std::vector<bool> CounterTable::columns_in_use() const {
    std::vector<bool> used(layout_.column_count);
    for (const Row& row : rows_) {
        if (row.instance == 0) continue;
        // The columns of a worker of an unknown generation are unknown, too.
        if (std::ranges::find(declared_, row.generation, &Declared::generation) == declared_.end()) {
            used.assign(used.size(), true);
            return used;
        }
        for (const Declared& one : declared_) {
            if (!row_uses(row, one.generation)) continue;
            for (const std::uint32_t index : one.columns)
                used[index] = true;
        }
    }
    return used;
}

}  // namespace drover
