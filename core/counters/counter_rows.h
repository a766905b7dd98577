// How a reader gets the rows that it adds up: by descriptor from whoever has them, in batches, each of those
// that were taken since the batch before. A reader that holds a row of the dead asks nobody about it: the
// table's directory says that it is folded. Runs in: the master (gives), the command line and workers of
// pools that observe (ask).
#pragma once

#include "core/base/unique_fd.h"
#include "core/memory/shared_memory.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace drover {

// Which row it is. Travels as it is on a channel.
struct RowTicket {
    std::uint64_t order = 0;  // TableHeader::rows_sequence when it was taken: grows from row to row
    std::uint64_t instance = 0;
    std::uint32_t row = 0;
    std::uint32_t reserved = 0;
};

struct RowBatch {
    struct Row {
        RowTicket ticket;
        UniqueFd fd;  // read-only; empty where there are cells
        std::shared_ptr<const Mapping> cells = {};
    };
    // The number to ask from next. TableHeader::rows_sequence: there are no more rows. The number that was
    // asked from: no row could be had now.
    std::uint64_t sequence = 0;
    std::vector<Row> rows;  // by order

    // A receiver maps and closes all descriptors of one before it asks for the next: however many workers
    // there are, it needs room for so many alone.
    static constexpr std::size_t most_rows = 16;
};

// Gives the rows that were taken after that TableHeader::rows_sequence. Throws std::runtime_error when there
// is no answer.
using RowSource = std::function<RowBatch(std::uint64_t after)>;

// As text, and back with the descriptors that came along: a line with the sequence, then one for each row.
// Parsing throws std::runtime_error for any other text, and when descriptors are missing.
std::string row_batch_text(const RowBatch& batch);
RowBatch parse_row_batch(std::string_view text, std::vector<UniqueFd> fds);

}  // namespace drover
