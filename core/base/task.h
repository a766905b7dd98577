// Task<void(Args...)> is a callable object that is owned, moved and called, and need not be copyable: work
// for another thread or another turn of the loop may hold what has one owner (a Response, a UniqueFd, a
// std::promise). One allocation. Special state: empty, which converts to false and must not be called; made
// of an empty std::function, a null pointer or an empty Task it is empty, too.
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
    requires(!std::same_as<Callable, Task> && std::is_invocable_v<Callable&, Args...>)
        Task(Callable callable) {
        if (!is_empty(callable)) held_ = std::make_unique<Holding<Callable>>(std::move(callable));
    }

    void operator()(Args... args) { held_->call(std::forward<Args>(args)...); }
    explicit operator bool() const noexcept { return held_ != nullptr; }

  private:
    template <class Callable>
    static bool is_empty(const Callable& callable) noexcept {
        if constexpr (std::is_pointer_v<Callable> || std::is_member_pointer_v<Callable>)
            return callable == nullptr;
        // A lambda without captures converts to bool as well, by way of a pointer to a function.
        else if constexpr (std::is_constructible_v<bool, const Callable&> && !requires { +callable; })
            return !static_cast<bool>(callable);
        else
            return false;
    }

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
