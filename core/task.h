// Task<void(Args...)> is a callable object that is owned, moved and called, and need not be copyable: work
// for another thread or another turn of the loop may hold what has one owner (a Response, a UniqueFd, a
// std::promise). One allocation. Special state: empty, which converts to false and must not be called.
#pragma once

#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace drover {

template <class Signature>
class Task;

template <class... Args>
class Task<void(Args...)> {
  public:
    Task() noexcept = default;
    Task(std::nullptr_t) noexcept {}
    template <class Callable>
    requires(!std::same_as<Callable, Task> && std::is_invocable_v<Callable&, Args...>) Task(Callable callable)
        : held_(std::make_unique<Holding<Callable>>(std::move(callable))) {}

    void operator()(Args... args) { held_->call(std::forward<Args>(args)...); }
    explicit operator bool() const noexcept { return held_ != nullptr; }

  private:
    struct Held {
        virtual ~Held() = default;
        virtual void call(Args... args) = 0;
    };
    template <class Callable>
    struct Holding final : Held {
        explicit Holding(Callable&& given) : callable(std::move(given)) {}
        void call(Args... args) override { std::invoke(callable, std::forward<Args>(args)...); }
        Callable callable;
    };

    std::unique_ptr<Held> held_;
};

}  // namespace drover
