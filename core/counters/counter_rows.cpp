#include "core/counters/counter_rows.h"

#include <charconv>
#include <iterator>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

namespace drover {

namespace {

// Takes a number and the character behind it.
template <class Number>
Number take_number(std::string_view& text) {
    Number number{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const auto length = static_cast<std::size_t>(end - text.data());
    if (error != std::errc() || length == text.size())
        throw std::runtime_error("counter rows: the list of rows is garbage");
    text.remove_prefix(length + 1);
    return number;
}

}  // namespace

std::string row_batch_text(const RowBatch& batch) {
    std::string text = fmt::format("{}\n", batch.sequence);
    for (const auto& row : batch.rows) {
        fmt::format_to(std::back_inserter(text), "{} {} {}\n", row.ticket.order, row.ticket.instance,
                       row.ticket.row);
    }
    return text;
}

RowBatch parse_row_batch(std::string_view text, std::vector<UniqueFd> fds) {
    RowBatch batch{.sequence = take_number<std::uint64_t>(text), .rows = {}};
    for (UniqueFd& fd : fds) {
        RowTicket ticket;
        ticket.order = take_number<std::uint64_t>(text);
        ticket.instance = take_number<std::uint64_t>(text);
        ticket.row = take_number<std::uint32_t>(text);
        batch.rows.push_back({ticket, std::move(fd)});
    }
    if (!text.empty()) throw std::runtime_error("counter rows: descriptors are missing");
    return batch;
}

}  // namespace drover
