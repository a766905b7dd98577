#include "tests/core/log/journal_socket.h"
#include "tests/core/log/log_reading.h"

#include <filesystem>
#include <string>

#include <doctest/doctest.h>
#include <errno.h>

using namespace drover;
using namespace drover::test;

namespace {

struct JournalLog {
    TemporaryFolder folder;
    std::string path = folder.file("socket");
    JournalSocket journal{path};
    Log log{LogIdentity{"worker", "main", 3}};

    JournalLog() { log.set_target(open_log_target("journal:" + path)); }
};

}  // namespace

TEST_CASE("journal: a line is an entry with fields") {
    JournalLog journal;
    journal.log.set_generation(7);
    journal.log.warning("a\nb");
    const std::vector<JournalFields> entries = journal.journal.take();
    REQUIRE(entries.size() == 1);
    CHECK(entries.front() == JournalFields{{"MESSAGE", "a\nb"},
                                           {"PRIORITY", "4"},
                                           {"SYSLOG_IDENTIFIER", program_invocation_short_name},
                                           {"DROVER_ROLE", "worker"},
                                           {"DROVER_POOL", "main"},
                                           {"DROVER_SLOT", "3"},
                                           {"DROVER_GENERATION", "7"}});
}

TEST_CASE("journal: levels are syslog's priorities") {
    JournalLog journal;
    journal.log.set_level(LogLevel::debug);
    journal.log.debug("7");
    journal.log.info("6");
    journal.log.warning("4");
    journal.log.error("3");
    journal.log.critical("2");
    const std::vector<JournalFields> entries = journal.journal.take();
    CHECK(entries.size() == 5);
    for (const JournalFields& entry : entries)
        CHECK(entry.at("PRIORITY") == entry.at("MESSAGE"));
}

TEST_CASE("journal: what a line is about takes the place of who speaks") {
    JournalLog journal;
    Log log({"master", "", -1});
    log.set_target(open_log_target("journal:" + journal.path));
    log.info("plain");
    log.write(LogLevel::error, "about",
              {.event = "worker_death", .pool = "back", .slot = 0, .pid = 71, .generation = 2});
    log.info("plain again");
    const std::vector<JournalFields> entries = journal.journal.take();
    REQUIRE(entries.size() == 3);
    CHECK_FALSE(entries[0].contains("DROVER_POOL"));
    CHECK_FALSE(entries[0].contains("DROVER_SLOT"));
    CHECK(entries[1].at("DROVER_EVENT") == "worker_death");
    CHECK(entries[1].at("DROVER_POOL") == "back");
    CHECK(entries[1].at("DROVER_SLOT") == "0");
    CHECK(entries[1].at("DROVER_WORKER_PID") == "71");
    CHECK(entries[1].at("DROVER_GENERATION") == "2");
    CHECK(entries[1].at("DROVER_ROLE") == "master");
    CHECK(entries[2].size() == entries[0].size());
}

TEST_CASE("journal: one that does not read costs lines, no time, and is told how many") {
    JournalLog journal;
    const std::string text(8000, 'x');
    std::uint64_t written = 0;
    while (journal.log.lost() < 5 && written < 100'000) {
        journal.log.info(text);
        ++written;
    }
    CHECK(journal.log.lost() == 5);
    CHECK(journal.journal.take().size() == written - 5);
    journal.log.info("again");
    const std::vector<JournalFields> entries = journal.journal.take();
    REQUIRE(entries.size() == 2);
    CHECK(entries[0].at("MESSAGE") == "5 log lines were lost");
    CHECK(entries[0].at("PRIORITY") == "4");
    CHECK(entries[1].at("MESSAGE") == "again");
    CHECK(journal.log.lost() == 5);
}

TEST_CASE("journal: one that is gone costs lines until another one has its place") {
    TemporaryFolder folder;
    const std::string path = folder.file("socket");
    Log log({"master", "", -1});
    {
        const JournalSocket first(path);
        log.set_target(open_log_target("journal:" + path));
    }
    log.info("lost");
    std::filesystem::remove(path);
    log.info("lost");
    CHECK(log.lost() == 2);
    JournalSocket second(path);
    log.info("found");
    const std::vector<JournalFields> entries = second.take();
    REQUIRE(entries.size() == 2);
    CHECK(entries[0].at("MESSAGE") == "2 log lines were lost");
    CHECK(entries[1].at("MESSAGE") == "found");
}

TEST_CASE("journal: one that is not there is an error that names it") {
    const TemporaryFolder folder;
    const std::string path = folder.file("socket");
    try {
        open_log_target("journal:" + path);
        FAIL("it was opened");
    } catch (const std::system_error& error) {
        CHECK(error.code() == std::errc::no_such_file_or_directory);
        CHECK(std::string(error.what()).find(path) != std::string::npos);
    }
    CHECK_THROWS_AS(open_log_target("journal:"), std::system_error);
    CHECK_THROWS_AS(open_log_target("journal:" + std::string(200, 'x')), std::system_error);
}
