#include "core/log/log.h"

#include "tests/core/log/log_reading.h"

#include <chrono>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <regex>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

using namespace drover;
using namespace drover::test;

namespace {

// time(2) reads a coarser clock, which may still be in the second before.
std::time_t now() {
    return std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
}

}  // namespace

TEST_CASE("a text line: time, level, who, pid, message") {
    FileLog file;
    const std::time_t before = now();
    file.log.info("hello");
    const std::string content = file.content();
    CAPTURE(content);
    std::smatch match;
    const std::regex form(
        R"((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\.\d{3} [+-]\d{4} \[info\] worker main/0 \[(\d+)\]: hello\n)");
    REQUIRE(std::regex_match(content, match, form));
    CHECK(match[2] == std::to_string(::getpid()));
    std::tm time{};
    REQUIRE(::strptime(match[1].str().c_str(), "%Y-%m-%d %H:%M:%S", &time) != nullptr);
    time.tm_isdst = -1;
    const std::time_t written = std::mktime(&time);
    CHECK(written >= before);
    CHECK(written <= now());
}

TEST_CASE("a text line says how far its time is from UTC") {
    const std::string before = std::getenv("TZ") == nullptr ? "" : std::getenv("TZ");
    for (const auto& [zone, offset] :
         {std::pair("UTC", " +0000 [info]"), std::pair("XYZ-5:30", " +0530 [info]"),
          std::pair("XYZ3", " -0300 [info]")}) {
        ::setenv("TZ", zone, 1);
        ::tzset();
        FileLog file;
        file.log.info("hello");
        CHECK_MESSAGE(file.content().find(offset) != std::string::npos, file.content());
    }
    before.empty() ? ::unsetenv("TZ") : ::setenv("TZ", before.c_str(), 1);
    ::tzset();
}

TEST_CASE("a JSON line") {
    FileLog file;
    file.log.set_format(LogFormat::json);
    const std::time_t before = now();
    file.log.error("hello");
    const std::string content = file.content();
    CAPTURE(content);
    std::smatch match;
    const std::regex form(
        R"(\{"time":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d{3}Z","level":"error","role":"worker",)"
        R"("pool":"main","slot":0,"pid":(\d+),"message":"hello"\}\n)");
    REQUIRE(std::regex_match(content, match, form));
    CHECK(match[2] == std::to_string(::getpid()));
    std::tm time{};
    REQUIRE(::strptime(match[1].str().c_str(), "%Y-%m-%dT%H:%M:%S", &time) != nullptr);
    const std::time_t written = ::timegm(&time);
    CHECK(written >= before);
    CHECK(written <= now());
}

TEST_CASE("who speaks: with and without pool and slot") {
    const TemporaryFolder directory;
    const std::string path = directory.file("a.log");
    const auto line_of = [&](LogIdentity identity, LogFormat format) {
        std::filesystem::remove(path);
        Log log(std::move(identity));
        log.set_target(open_log_target(path));
        log.set_format(format);
        log.info("m");
        return content_of(path);
    };
    const auto contains = [](const std::string& line, const std::string& part) {
        INFO(line);
        return line.find(part) != line.npos;
    };
    CHECK(contains(line_of({"master", "", -1}, LogFormat::text), "[info] master ["));
    CHECK(contains(line_of({"config reader", "", -1}, LogFormat::text), "[info] config reader ["));
    CHECK(contains(line_of({"worker", "a b\n", 12}, LogFormat::text), "[info] worker a b\\n/12 ["));
    CHECK(contains(line_of({"master", "", -1}, LogFormat::json),
                   R"("role":"master","pool":null,"slot":null,)"));
    CHECK(contains(line_of({"worker", "a\"b", 1}, LogFormat::json), R"("pool":"a\"b","slot":1,)"));
}

TEST_CASE("levels below the log's own are left out") {
    FileLog file;
    CHECK(file.log.level() == LogLevel::info);
    CHECK_FALSE(file.log.enabled(LogLevel::debug));
    file.log.debug("1");
    file.log.set_level(LogLevel::error);
    file.log.warning("2");
    file.log.error("3");
    file.log.critical("4");
    file.log.set_level(LogLevel::debug);
    file.log.debug("5");
    file.log.write(LogLevel::off, "6");
    file.log.set_level(LogLevel::off);
    file.log.critical("7");
    CHECK(messages_in(file.content()) == std::vector<std::string>{"3", "4", "5"});
    CHECK(file.content().find("[critical]") != std::string::npos);
    CHECK(file.content().find("[debug]") != std::string::npos);
    CHECK(file.log.lost() == 0);
}

TEST_CASE("control characters and wrong UTF-8 are escaped in text") {
    FileLog file;
    file.log.info("a\nb\r\t\x1b[31m\x7f\x01 \"q\" \\");
    file.log.info(std::string_view("nul\0.", 5));
    file.log.info("\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x91");
    file.log.info(
        "\xc2\x9b"
        "31m");
    file.log.info(
        "\xff|\xc3|\xe2\x82|\xc0\xaf|\xed\xa0\x80|\xf4\x90\x80\x80|\xf0\x80\x80\x80|\xe0\x80\x80|\x80");
    file.log.info("\xe2\x82");
    CHECK(
        messages_in(file.content()) ==
        std::vector<std::string>{
            R"(a\nb\r\t\x1b[31m\x7f\x01 "q" \)", R"(nul\x00.)", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x91",
            R"(\u009b31m)",
            R"(\xff|\xc3|\xe2\x82|\xc0\xaf|\xed\xa0\x80|\xf4\x90\x80\x80|\xf0\x80\x80\x80|\xe0\x80\x80|\x80)",
            R"(\xe2\x82)"});
}

TEST_CASE("JSON strings are escaped as RFC 8259 wants it, wrong UTF-8 is replaced") {
    FileLog file;
    file.log.set_format(LogFormat::json);
    file.log.info("a\nb\r\t\x1b\x7f \"q\" \\ \xc3\xa4 \xc2\x9b \xff \xc3");
    const std::string content = file.content();
    CAPTURE(content);
    CHECK(content.find("\"message\":\"a\\nb\\r\\t\\u001b\\u007f \\\"q\\\" \\\\ \xc3\xa4 \\u009b "
                       "\xef\xbf\xbd \xef\xbf\xbd\"}\n") != content.npos);
}

TEST_CASE("lines are cut at 8 KiB, not inside of a character, and JSON stays JSON") {
    for (const LogFormat format : {LogFormat::text, LogFormat::json}) {
        for (const std::string& unit : {std::string("x"), std::string("\xe2\x82\xac"), std::string("\n")}) {
            for (std::size_t shift = 0; shift < 4; ++shift) {
                FileLog file;
                file.log.set_format(format);
                std::string message(shift, 'y');
                while (message.size() < 20000)
                    message += unit;
                file.log.info(message);
                file.log.info("next");
                const std::vector<std::string> lines = lines_of(file.content());
                REQUIRE(lines.size() == 2);
                CHECK(lines[0].size() <= 8191);
                CHECK(lines[0].size() > 8180);
                const std::string end = format == LogFormat::json ? "...\"}" : "...";
                REQUIRE(lines[0].ends_with(end));
                const std::string escaped = unit == "\n" ? "\\n" : unit;
                CHECK(lines[0].substr(0, lines[0].size() - end.size()).ends_with(escaped));
            }
        }
    }
    FileLog file;
    file.log.info(std::string(8000, 'x'));
    CHECK(messages_in(file.content()) == std::vector<std::string>{std::string(8000, 'x')});
}

TEST_CASE("set_target in mid-way: earlier lines in the old file, later ones in the new") {
    FileLog file;
    file.log.info("1");
    file.log.info("2");
    const std::string other = file.directory.file("b.log");
    file.log.set_target(open_log_target(other));
    file.log.info("3");
    CHECK(messages_in(file.content()) == std::vector<std::string>{"1", "2"});
    CHECK(messages_in(content_of(other)) == std::vector<std::string>{"3"});
    CHECK(file.log.lost() == 0);
}

TEST_CASE("before set_target lines go nowhere and are not lost") {
    const TemporaryFolder directory;
    Log log({"master", "", -1});
    log.info("1");
    CHECK(log.lost() == 0);
    log.set_target(open_log_target(directory.file("a.log")));
    log.info("2");
    CHECK(messages_in(content_of(directory.file("a.log"))) == std::vector<std::string>{"2"});
}
