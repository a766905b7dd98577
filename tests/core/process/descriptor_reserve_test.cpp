#include "core/process/descriptor_reserve.h"

#include "tests/support/in_child.h"

#include <cerrno>

#include <doctest/doctest.h>
#include <sys/resource.h>

using namespace drover;
using drover::test::in_child;

TEST_CASE("what is kept back is there at the limit, and is kept back again") {
    in_child([] {
        DescriptorReserve reserve(2);
        rlimit limit{};
        ::getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = 16;
        ::setrlimit(RLIMIT_NOFILE, &limit);
        while (::dup(0) >= 0) {
        }
        if (errno != EMFILE) return 1;
        for (int i = 0; i < 2; ++i) {
            const DescriptorReserve::Room room(reserve);
            const UniqueFd one(::dup(0));
            const UniqueFd two(::dup(0));
            if (!one || !two || ::dup(0) >= 0) return 2;
        }
        return ::dup(0) < 0 ? 0 : 3;
    });
}
