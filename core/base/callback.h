// Callback<void(Args...)> is a member function bound to an object: two words, no allocation, freely copied.
// The object must outlive every call; the callback owns nothing. Special state: empty, which converts to
// false.
#pragma once

#include <utility>

namespace drover {

template <class Signature>
class Callback;

template <class Result, class... Args>
class Callback<Result(Args...)> {
  public:
    constexpr Callback() noexcept = default;

    // Callback<void()>::to<&Master::reap>(this)
    template <auto Method, class Object>
    static constexpr Callback to(Object* object) noexcept {
        Callback callback;
        callback.object_ = object;
        callback.call_ = [](void* self, Args... args) -> Result {
            return (static_cast<Object*>(self)->*Method)(std::forward<Args>(args)...);
        };
        return callback;
    }

    // Any callable object that outlives the callback; `callable` is borrowed. Used mostly by tests.
    template <class Callable>
    static constexpr Callback of(Callable* callable) noexcept {
        return to<&Callable::operator()>(callable);
    }

    Result operator()(Args... args) const { return call_(object_, std::forward<Args>(args)...); }
    constexpr explicit operator bool() const noexcept { return call_ != nullptr; }

  private:
    Result (*call_)(void*, Args...) = nullptr;
    void* object_ = nullptr;
};

}  // namespace drover
