#include "master/supervise/recycle_policy.h"

#include <doctest/doctest.h>

using namespace drover;

namespace {

constexpr std::uint64_t mib = 1024 * 1024;

PoolSettings with(RecycleSettings recycle, std::uint64_t memory_limit = 0) {
    PoolSettings pool;
    pool.recycle = recycle;
    pool.memory_limit = memory_limit;
    return pool;
}

}  // namespace

TEST_CASE("without limits a worker lives for ever") {
    const WorkerAge old{.accepted = 1'000'000'000, .resident_bytes = 1ULL << 40, .age_ms = 1LL << 40};
    CHECK(recycle_reason(with({}), old, 0) == "");
}

TEST_CASE("each limit, and what it says") {
    CHECK(recycle_reason(with({.connections = 100}), {.accepted = 99}, 0) == "");
    CHECK(recycle_reason(with({.connections = 100}), {.accepted = 100}, 0) ==
          "it has accepted 100 connections");
    CHECK(recycle_reason(with({.memory = 4 * mib}), {.resident_bytes = 4 * mib - 1}, 0) == "");
    CHECK(recycle_reason(with({.memory = 4 * mib}), {.resident_bytes = 4 * mib}, 0) ==
          "it has 4096 KiB of memory");
    CHECK(recycle_reason(with({.age_ms = 60'000}), {.age_ms = 59'999}, 0) == "");
    CHECK(recycle_reason(with({.age_ms = 60'000}), {.age_ms = 60'000}, 0) == "it is 60 s old");
}

TEST_CASE("jitter makes a limit up to a tenth higher, never lower") {
    const PoolSettings pool = with({.connections = 1000});
    CHECK(recycle_reason(pool, {.accepted = 1049}, 0.5) == "");
    CHECK(recycle_reason(pool, {.accepted = 1050}, 0.5) != "");
    CHECK(recycle_reason(pool, {.accepted = 1100}, 0.999) != "");
}

TEST_CASE("a limit that a worker exceeds from its start on recycles none") {
    const PoolSettings pool = with({.memory = 4 * mib});
    CHECK(recycle_reason(pool, {.first_resident_bytes = 5 * mib, .resident_bytes = 50 * mib}, 0) == "");
    CHECK(recycle_reason(pool, {.first_resident_bytes = 3 * mib, .resident_bytes = 50 * mib}, 0) != "");
}

TEST_CASE("below the memory limit a worker is recycled before it is killed, with any jitter") {
    const PoolSettings pool = with({}, 100 * mib);
    CHECK(recycle_reason(pool, {.resident_bytes = 89 * mib}, 0) == "");
    CHECK(recycle_reason(pool, {.resident_bytes = 90 * mib}, 0) != "");
    CHECK(recycle_reason(pool, {.resident_bytes = 99 * mib}, 0.999) != "");
    // The lower of the two counts.
    CHECK(recycle_reason(with({.memory = 50 * mib}, 100 * mib), {.resident_bytes = 50 * mib}, 0) != "");
    CHECK(recycle_reason(with({.memory = 99 * mib}, 100 * mib), {.resident_bytes = 90 * mib}, 0) != "");
}
