#include "core/process/environment.h"

#include "core/process/process.h"
#include "tests/support/deadline.h"
#include "tests/support/memory_search.h"

#include <cstdlib>

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace drover;
using namespace drover::test;

namespace {

bool next_stop(const Process& child) {
    int status = 0;
    return ::waitpid(child.pid(), &status, WUNTRACED) == child.pid() && WIFSTOPPED(status);
}

}  // namespace

TEST_CASE("environment: the text of what is replaced is nowhere in memory any more") {
    if (sanitizers) return;  // they have a copy of their own
    static char literal[] = "DROVER_LITERAL=1";
    const SearchedText moved("moved away with all others");
    const SearchedText later("set later");
    const Process child = spawn({}, [&] {
        moved.put_into_environment("DROVER_MOVED");
        if (!move_environment()) return 1;
        later.put_into_environment("DROVER_LATER");
        ::putenv(literal);
        ::unsetenv("DROVER_MOVED");
        ::raise(SIGSTOP);
        replace_environment({"DROVER_KEPT=kept", environment_entry("DROVER_LITERAL")});
        ::raise(SIGSTOP);
        if (std::string(::getenv("DROVER_KEPT")) != "kept" || ::getenv("DROVER_LATER") != nullptr) return 2;
        return std::string(::getenv("DROVER_LITERAL")) == "1" && environ[2] == nullptr ? 0 : 3;
    });
    REQUIRE(next_stop(child));
    CHECK(moved.is_in(child.pid()));
    CHECK(later.is_in(child.pid()));
    child.signal(SIGCONT);
    REQUIRE(next_stop(child));
    CHECK_FALSE(moved.is_in(child.pid()));
    CHECK_FALSE(later.is_in(child.pid()));
    child.signal(SIGCONT);
    int status = -1;
    REQUIRE(::waitpid(child.pid(), &status, 0) == child.pid());
    CHECK(status == 0);
}
