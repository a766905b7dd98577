#include "worker/listener_names.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace drover;

namespace {

constexpr unsigned gone = ListenerNames::no_listener;

NamedListener fixed(const std::string& name) {
    return {.name = name, .module = nullptr, .family = AF_INET, .chosen_by_kernel = false};
}

NamedListener any_port() {
    return {.name = "127.0.0.1:0 http", .module = nullptr, .family = AF_INET, .chosen_by_kernel = true};
}

}  // namespace

TEST_CASE("a listener is found again by its name, wherever it stands") {
    ListenerNames names;
    CHECK(names.find_again({fixed("a")}).empty());
    names.replace({fixed("a"), fixed("b"), fixed("c")});
    CHECK(names.find_again({fixed("c"), fixed("x"), fixed("a")}) == std::vector<unsigned>{2, gone, 0});
    CHECK(names.find_again({}) == std::vector<unsigned>{gone, gone, gone});
    CHECK(names.find("b") == &names[1]);
    CHECK(names.find("x") == nullptr);
}

TEST_CASE("a port that the kernel chose is the same one only in the same place") {
    ListenerNames names;
    names.replace({any_port(), any_port(), fixed("a")});
    CHECK(names.find_again({fixed("a"), any_port(), any_port()}) == std::vector<unsigned>{gone, 1, 0});
    CHECK(names.find_again({any_port()}) == std::vector<unsigned>{0, gone, gone});
}

TEST_CASE("a listener that goes gets a number, and the same one when it comes and goes again") {
    ListenerNames names;
    names.replace({fixed("a"), fixed("b")});
    CHECK(names.replace({fixed("b")}) == std::vector<unsigned>{first_gone_listener, 0});
    CHECK(names.gone_name(first_gone_listener) == "a");
    CHECK(names.replace({fixed("a")}) == std::vector<unsigned>{first_gone_listener + 1});
    CHECK(names.replace({}) == std::vector<unsigned>{first_gone_listener});
    CHECK(names.gone() == std::vector<std::string>{"a", "b"});
}

TEST_CASE("names beyond the last number have none") {
    ListenerNames names;
    const unsigned most = gone - first_gone_listener;
    for (unsigned i = 0; i < most; ++i)
        REQUIRE(names.gone_number(std::to_string(i)) == first_gone_listener + i);
    CHECK(names.gone_number("one more") == gone);
    CHECK(names.gone_number("7") == first_gone_listener + 7);
    CHECK(names.gone().size() == most);
}
