#include "core/process/lineage.h"

#include "core/process/process.h"
#include "tests/support/deadline.h"
#include "tests/support/in_child.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace drover;
using namespace drover::test;

namespace {

pid_t start_sleeper() {
    const pid_t pid = ::fork();
    if (pid != 0) return pid;
    for (;;)
        ::pause();
}

// Until it is the only child of our lineage: those between it and us have ended.
bool waits_for_child(pid_t pid) {
    const Deadline deadline;
    while (children_of_lineage() != std::vector<pid_t>{pid}) {
        if (deadline.passed()) return false;
        ::waitpid(-1, nullptr, WNOHANG);
    }
    return true;
}

}  // namespace

TEST_CASE("lineage: an orphan of a child is known, whatever it does; a stranger is not") {
    in_child([] {
        adopt_orphans();
        const pid_t stranger = start_sleeper();
        if (!children_of_lineage().empty()) return 1;
        int told[2];
        if (::pipe(told) != 0) return 2;
        const int keep[] = {told[1]};
        spawn({.keep_fds = keep}, [&] {
            if (::fork() != 0) return 0;
            ::setsid();
            const rlimit low{.rlim_cur = 1000, .rlim_max = 1000};
            ::setrlimit(RLIMIT_RTTIME, &low);
            const pid_t orphan = start_sleeper();
            return ::write(keep[0], &orphan, sizeof orphan) == sizeof orphan ? 0 : 1;
        });
        pid_t orphan = 0;
        if (::read(told[0], &orphan, sizeof orphan) != sizeof orphan) return 3;
        const bool known = waits_for_child(orphan);
        ::kill(orphan, SIGKILL);
        ::kill(stranger, SIGKILL);
        while (::wait(nullptr) > 0) {
        }
        return known && children_of_lineage().empty() ? 0 : 4;
    });
}

TEST_CASE("lineage: the children of a master among another's descendants belong to both") {
    in_child([] {
        adopt_orphans();
        int told[2];
        if (::pipe(told) != 0) return 1;
        const int keep[] = {told[1]};
        spawn({.keep_fds = keep}, [&] {
            const Process child = spawn({}, [] { return ::pause(); });
            const bool own = waits_for_child(child.pid());
            const pid_t pid = own ? child.pid() : 0;
            return ::write(keep[0], &pid, sizeof pid) == sizeof pid ? 0 : 1;
        });
        pid_t orphan = 0;
        if (::read(told[0], &orphan, sizeof orphan) != sizeof orphan || orphan == 0) return 2;
        const bool known = waits_for_child(orphan);
        ::kill(orphan, SIGKILL);
        while (::wait(nullptr) > 0) {
        }
        return known ? 0 : 3;
    });
}
