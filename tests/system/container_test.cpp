// The example of a day in a container, from the start to TERM under load.
#include "core/base/build_info.h"
#include "tests/support/child.h"
#include "tests/support/contains.h"
#include "tests/support/deadline.h"
#include "tests/support/skipped.h"

#include <chrono>
#include <string>

#include <doctest/doctest.h>
#include <unistd.h>

namespace drover::test {

TEST_CASE("a day in a container: PID 1, a root that cannot be written to, a quota, TERM under load") {
    if (lacks_root()) return;
    if (sanitizers) return;  // their shadow memory is more than the container has
    const CommandResult day = run_command({DROVER_SOURCE_DIR "/docs/container/day", DROVER_PROGRAM}, {},
                                          Deadline(std::chrono::seconds(120)));
    if (lacks(day.code() != 77, "namespaces (" + day.output.substr(0, day.output.find('\n')) + ")")) return;
    CHECK_MESSAGE(day.code() == 0, day.errors);
    CHECK_MESSAGE(contains(day.output, "none lost\n"), day.output);
}

}  // namespace drover::test
