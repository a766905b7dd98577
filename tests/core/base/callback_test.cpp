#include "core/base/callback.h"

#include <memory>
#include <string>
#include <type_traits>

#include <doctest/doctest.h>

using drover::Callback;

namespace {

struct Adder {
    int sum = 0;
    void add(int amount) { sum += amount; }
    int take(std::unique_ptr<int> value) {
        sum += *value;
        return sum;
    }
    void append(std::string& text) const { text += std::to_string(sum); }
};

}  // namespace

TEST_CASE("callback: empty converts to false") {
    const Callback<void()> empty;
    CHECK_FALSE(empty);
}

TEST_CASE("callback: calls the method of its object") {
    Adder adder;
    const auto callback = Callback<void(int)>::to<&Adder::add>(&adder);
    REQUIRE(callback);
    callback(3);
    const auto copy = callback;
    copy(4);
    CHECK(adder.sum == 7);
}

TEST_CASE("callback: passes on values that only move, references and results") {
    Adder adder;
    CHECK(Callback<int(std::unique_ptr<int>)>::to<&Adder::take>(&adder)(std::make_unique<int>(5)) == 5);
    std::string text = "sum ";
    Callback<void(std::string&)>::to<&Adder::append> (&adder)(text);
    CHECK(text == "sum 5");
}

TEST_CASE("callback: borrows a callable") {
    int calls = 0;
    auto count = [&calls](int amount) { calls += amount; };
    const auto callback = Callback<void(int)>::of(&count);
    callback(1);
    callback(1);
    CHECK(calls == 2);
}

TEST_CASE("callback: is two words that can be copied as bytes") {
    static_assert(std::is_trivially_copyable_v<Callback<void(int)>>);
    static_assert(sizeof(Callback<void(int)>) == 2 * sizeof(void*));
    CHECK(std::is_nothrow_default_constructible_v<Callback<void(int)>>);
}
