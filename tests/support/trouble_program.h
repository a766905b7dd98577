// The server with modules that do on request what no module should (trouble_main.cpp). Runs in: system tests.
#pragma once

#include "tests/support/master_under_test.h"

namespace drover::test {

inline const MasterUnderTest::Start trouble_program{.program = DROVER_TROUBLE_PROGRAM};

}  // namespace drover::test
