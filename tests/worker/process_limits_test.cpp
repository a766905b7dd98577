#include "worker/process_limits.h"

#include "tests/support/in_child.h"

#include <stdexcept>

#include <doctest/doctest.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>

using namespace drover;
using namespace drover::test;

namespace {

PoolSettings settings() {
    PoolSettings pool;
    pool.name = "main";
    pool.cpu_affinity = "off";
    return pool;
}

unsigned first_processor() {
    cpu_set_t set;
    CPU_ZERO(&set);
    ::sched_getaffinity(0, sizeof set, &set);
    unsigned processor = 0;
    while (!CPU_ISSET(processor, &set))
        ++processor;
    return processor;
}

}  // namespace

TEST_CASE("processors are taken in turn") {
    CHECK(processor_of(0, {4, 7}) == 4);
    CHECK(processor_of(1, {4, 7}) == 7);
    CHECK(processor_of(2, {4, 7}) == 4);
}

TEST_CASE("limits that are not set leave the process as it is") {
    in_child([] {
        rlimit before{};
        ::getrlimit(RLIMIT_NOFILE, &before);
        const int priority = ::getpriority(PRIO_PROCESS, 0);
        apply_limits(settings(), 3);
        rlimit after{};
        ::getrlimit(RLIMIT_NOFILE, &after);
        return before.rlim_cur == after.rlim_cur && ::getpriority(PRIO_PROCESS, 0) == priority ? 0 : 1;
    });
}

TEST_CASE("descriptors, core, priority and processor are as the settings say") {
    in_child([] {
        PoolSettings pool = settings();
        pool.open_files_limit = 200;
        pool.core_limit = 8192;
        pool.nice = 5;
        pool.cpu_affinity = "auto";
        apply_limits(pool, 0);
        rlimit files{};
        ::getrlimit(RLIMIT_NOFILE, &files);
        rlimit core{};
        ::getrlimit(RLIMIT_CORE, &core);
        cpu_set_t set;
        CPU_ZERO(&set);
        ::sched_getaffinity(0, sizeof set, &set);
        if (files.rlim_cur != 200) return 1;
        if (core.rlim_cur != 8192) return 2;
        if (::getpriority(PRIO_PROCESS, 0) != 5) return 3;
        return CPU_COUNT(&set) == 1 ? 0 : 4;
    });
    const unsigned processor = first_processor();
    in_child([processor] {
        const std::string list = std::to_string(processor);
        PoolSettings pool = settings();
        pool.cpu_affinity = list;
        apply_limits(pool, 1);
        return first_processor() == processor ? 0 : 1;
    });
}

TEST_CASE("what cannot be had is said with its key") {
    in_child([] {
        PoolSettings pool = settings();
        pool.cpu_affinity = "1023";
        try {
            apply_limits(pool, 0);
        } catch (const std::runtime_error& error) {
            const std::string_view text = error.what();
            return text.starts_with("pool.main.cpu_affinity = 1023 cannot be had: ") ? 0 : 1;
        }
        return 2;
    });
}

TEST_CASE("a process can be made to leave a core again") {
    in_child([] {
        ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
        allow_core();
        return ::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1 ? 0 : 1;
    });
}
