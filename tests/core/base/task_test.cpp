#include "core/base/task.h"

#include <functional>
#include <memory>
#include <utility>

#include <doctest/doctest.h>

using drover::Task;

namespace {

int task_calls = 0;

void count_task_call() {
    ++task_calls;
}

}  // namespace

TEST_CASE("task: made of what is empty it is empty") {
    CHECK_FALSE(Task<void()>());
    CHECK_FALSE(Task<void()>(nullptr));
    CHECK_FALSE(Task<void()>(std::function<void()>()));
    CHECK_FALSE(Task<void()>(static_cast<void (*)()>(nullptr)));
    CHECK_FALSE(Task<void(int)>(Task<void(const int&)>()));
    struct Counted {
        void count() { ++task_calls; }
    };
    CHECK_FALSE(Task<void(Counted&)>(static_cast<void (Counted::*)()>(nullptr)));
    CHECK(Task<void(Counted&)>(&Counted::count));
}

TEST_CASE("task: calls what it holds, which need not be copyable") {
    task_calls = 0;
    Task<void()> held = [number = std::make_unique<int>(2)] { task_calls += *number; };
    REQUIRE(held);
    held();
    Task<void()> moved = std::move(held);
    moved();
    CHECK(task_calls == 4);
    Task<void()> of_pointer = &count_task_call;
    of_pointer();
    Task<void()> of_function = std::function<void()>(count_task_call);
    REQUIRE(of_function);
    of_function();
    Task<void()> of_lambda = [] { ++task_calls; };
    REQUIRE(of_lambda);
    of_lambda();
    CHECK(task_calls == 7);
}
