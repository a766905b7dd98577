#include "core/log/journal_entry.h"

#include "tests/core/log/journal_socket.h"

#include <string>

#include <doctest/doctest.h>

using namespace drover;
using namespace drover::test;

TEST_CASE("journal entry: a field a line, and by its length what has a newline") {
    JournalEntry entry;
    entry.begin();
    entry.append("MESSAGE", "hello = there");
    entry.append("PRIORITY", 6);
    CHECK(entry.bytes() == "MESSAGE=hello = there\nPRIORITY=6\n");
    entry.begin();
    entry.append("MESSAGE", "one\ntwo");
    CHECK(entry.bytes() == std::string_view("MESSAGE\n\x07\0\0\0\0\0\0\0one\ntwo\n", 24));
    CHECK(parse_journal_entry(std::string(entry.bytes())).at("MESSAGE") == "one\ntwo");
    entry.append("A", UINT64_MAX);
    CHECK(parse_journal_entry(std::string(entry.bytes())).at("A") == "18446744073709551615");
}

TEST_CASE("journal entry: a value that is too long is cut, not inside of a character") {
    JournalEntry entry;
    entry.begin();
    std::string umlauts = "x";
    while (umlauts.size() <= JournalEntry::max_value)
        umlauts += "\u00fc";
    entry.append("MESSAGE", umlauts);
    const std::string value = parse_journal_entry(std::string(entry.bytes())).at("MESSAGE");
    CHECK(value.size() == JournalEntry::max_value - 1);
    CHECK(value.ends_with("\u00fc"));
    CHECK(umlauts.starts_with(value));
}

TEST_CASE("journal entry: what is no text is cut, too, and not to nothing") {
    JournalEntry entry;
    entry.begin();
    entry.append("MESSAGE", std::string(9000, '\x80'));
    const std::string value = parse_journal_entry(std::string(entry.bytes())).at("MESSAGE");
    CHECK(value.size() >= JournalEntry::max_value - 3);
    CHECK(value.size() <= JournalEntry::max_value);
}
