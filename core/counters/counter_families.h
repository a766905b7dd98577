// Which columns are shown where a name may stand once. Runs in: every process.
#pragma once

#include "core/counters/counter_reader.h"

#include <vector>

namespace drover {

// While workers of two generations count under one name with the same labels and yet not the same (another
// kind, other bounds) both columns are there. Of such a family only those of one kind, and of those of one
// text only one, whose kind and bounds are the least: the same whenever it is asked, wherever the columns
// lie. In the order of `sums`, and into it.
std::vector<const CounterReader::Sum*> one_of_each(const std::vector<CounterReader::Sum>& sums);

}  // namespace drover
