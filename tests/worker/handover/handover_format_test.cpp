#include "worker/handover/handover_format.h"

#include <doctest/doctest.h>

using namespace drover;

namespace {

CarriedConnection sample() {
    CarriedConnection connection;
    connection.stage = CarriedConnection::Stage::flushing;
    connection.end_of_input = true;
    connection.linger_always = true;
    connection.listener = 7;
    connection.time_limit_ms = 1234;
    connection.unsent = "unsent";
    connection.input = std::string("in\0put", 6);
    connection.module_state = "state";
    connection.output_ends = true;
    connection.file = {nullptr, 1ULL << 40, 5};
    connection.file_position = 3;
    return connection;
}

}  // namespace

TEST_CASE("a connection travels whole, and records follow one another") {
    std::string bytes;
    append_record(bytes, sample());
    append_record(bytes, CarriedConnection());
    std::string_view rest = bytes;
    const std::optional<CarriedConnection> first = take_record(rest);
    REQUIRE(first);
    CHECK(first->stage == CarriedConnection::Stage::flushing);
    CHECK(first->end_of_input);
    CHECK(first->linger_always);
    CHECK(first->listener == 7);
    CHECK(first->time_limit_ms == 1234);
    CHECK(first->unsent == "unsent");
    CHECK(first->input == sample().input);
    CHECK(first->module_state == "state");
    CHECK(first->output_ends);
    CHECK(first->file.offset == 1ULL << 40);
    CHECK(first->file.length == 5);
    CHECK(first->file_position == 3);
    const std::optional<CarriedConnection> second = take_record(rest);
    REQUIRE(second);
    CHECK(second->stage == CarriedConnection::Stage::open);
    CHECK_FALSE(second->end_of_input);
    CHECK(second->time_limit_ms == CarriedConnection::no_time_limit);
    CHECK(second->unsent.empty());
    CHECK(second->file.length == 0);
    CHECK(rest.empty());
}

TEST_CASE("a record that is cut anywhere is none") {
    std::string bytes;
    append_record(bytes, sample());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        std::string_view cut = std::string_view(bytes).substr(0, size);
        CHECK_FALSE(take_record(cut));
    }
}

TEST_CASE("unknown versions, transports and stages, and sizes that lie, are refused") {
    std::string good;
    append_record(good, sample());
    for (const std::size_t field : {0U, 1U, 2U}) {
        std::string bad = good;
        bad[field] = 9;
        std::string_view bytes = bad;
        CHECK_FALSE(take_record(bytes));
    }
    // Of the texts, the file's place among them, and its offset and length, which no file has.
    for (const std::size_t size_field : {12U, 16U, 20U, 24U, 36U, 44U}) {
        std::string bad = good;
        for (std::size_t i = 0; i < 4; ++i)
            bad[size_field + i] = '\xff';
        std::string_view bytes = bad;
        CHECK_FALSE(take_record(bytes));
    }
}
