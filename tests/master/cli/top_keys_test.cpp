#include "master/cli/top/keys.h"

#include <vector>

#include <doctest/doctest.h>

using namespace drover::top;

namespace {

std::vector<Key> keys_of(std::string typed) {
    std::vector<Key> keys;
    while (const auto key = take_key(typed))
        keys.push_back(*key);
    return keys;
}

}  // namespace

TEST_CASE("keys are letters, arrows of both modes, pages and a lone escape") {
    CHECK(keys_of("q") == std::vector{Key::quit});
    CHECK(keys_of("jk\r") == std::vector{Key::down, Key::up, Key::enter});
    CHECK(keys_of("\x1b[A\x1bOB") == std::vector{Key::up, Key::down});
    CHECK(keys_of("\x1b[5~\x1b[6~") == std::vector{Key::page_up, Key::page_down});
    CHECK(keys_of("\x1b") == std::vector{Key::back});
    CHECK(keys_of("\x1b[1;5Hq") == std::vector{Key::other, Key::quit});
    CHECK(keys_of("\x1b[12") == std::vector{Key::other});
    CHECK(keys_of("x p") == std::vector{Key::other, Key::pause, Key::pause});
    CHECK(keys_of("").empty());
}
