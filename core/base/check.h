// DROVER_CHECK(condition): what cannot happen. A failure prints the place to stderr and aborts, in every
// build.
#pragma once

#include <cstdio>
#include <cstdlib>

#define DROVER_CHECK(condition)                                                                \
    do {                                                                                       \
        if (!(condition)) [[unlikely]] {                                                       \
            std::fprintf(stderr, "%s:%d: check failed: %s\n", __FILE__, __LINE__, #condition); \
            std::abort();                                                                      \
        }                                                                                      \
    } while (false)
