#include "core/protocol/report_pipe.h"

#include <csignal>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fcntl.h>

using namespace drover;

namespace {

// A reader whose reports and end are collected.
struct Collector {
    EventLoop loop;
    UniqueFd write_end;
    std::optional<ReportReader> reader;
    std::vector<Report> reports;
    std::vector<std::string> ends;
    std::size_t destroy_reader_at = 0;

    Collector() {
        auto [read_end, other_end] = make_report_pipe();
        write_end = std::move(other_end);
        reader.emplace(loop, std::move(read_end),
                       ReportReader::ReportHandler::to<&Collector::on_report>(this),
                       ReportReader::EndHandler::to<&Collector::on_end>(this));
    }
    void on_report(const Report& report) {
        reports.push_back(report);
        if (reports.size() == destroy_reader_at) reader.reset();
    }
    void on_end(const char* reason) {
        ends.emplace_back(reason);
        reader.reset();
    }
    void round() { loop.run_once(std::chrono::milliseconds(1000)); }
};

bool write_all(int fd, const void* data, std::size_t size) {
    return ::write(fd, data, size) == static_cast<ssize_t>(size);
}

}  // namespace

TEST_CASE("both ends are non-blocking and close-on-exec") {
    const auto [read_end, write_end] = make_report_pipe();
    for (const int fd : {read_end.get(), write_end.get()}) {
        CHECK((::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
        CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    }
}

TEST_CASE("a full pipe drops reports, and the next one that fits says how many") {
    auto [read_end, write_end] = make_report_pipe();
    ReportWriter writer(std::move(write_end));
    std::uint64_t sent = 0;
    while (writer.send({}))
        ++sent;
    CHECK(sent > 0);
    CHECK_FALSE(writer.send({}));

    Report report;
    for (std::uint64_t number = 1; number <= sent; ++number) {
        REQUIRE(::read(read_end.get(), &report, sizeof report) == static_cast<ssize_t>(sizeof report));
        REQUIRE(report.heartbeat == number);
        REQUIRE(report.dropped == 0);
    }
    CHECK(::read(read_end.get(), &report, sizeof report) == -1);
    CHECK(writer.send({}));
    REQUIRE(::read(read_end.get(), &report, sizeof report) == static_cast<ssize_t>(sizeof report));
    CHECK(report.heartbeat == sent + 3);
    CHECK(report.dropped == 2);
}

TEST_CASE("a report nobody can read is counted as dropped") {
    auto* const before = std::signal(SIGPIPE, SIG_IGN);
    auto [read_end, write_end] = make_report_pipe();
    ReportWriter writer(std::move(write_end));
    read_end.reset();
    CHECK_FALSE(writer.send({}));
    std::signal(SIGPIPE, before);
}

TEST_CASE("reports arrive in order and whole, many a round, but not all in one") {
    constexpr std::size_t many = 80;
    Collector collector;
    ReportWriter writer(std::move(collector.write_end));
    for (std::uint64_t i = 1; i <= many; ++i) {
        REQUIRE(writer.send({.state = 2, .time_ms = -5, .connections = i, .accepted = 10 * i}));
    }
    collector.round();
    CHECK(collector.reports.size() > 1);
    CHECK(collector.reports.size() < many);
    while (collector.reports.size() < many) {
        const std::size_t before = collector.reports.size();
        collector.round();
        REQUIRE(collector.reports.size() > before);
    }
    for (std::uint64_t i = 1; i <= many; ++i) {
        const Report& report = collector.reports[i - 1];
        CHECK(report.heartbeat == i);
        CHECK(report.connections == i);
        CHECK(report.accepted == 10 * i);
        CHECK(report.state == 2);
        CHECK(report.time_ms == -5);
    }
    CHECK(collector.ends.empty());
}

TEST_CASE("end of file comes after the last report, once") {
    Collector collector;
    {
        ReportWriter writer(std::move(collector.write_end));
        REQUIRE(writer.send({}));
        REQUIRE(writer.send({}));
    }
    collector.round();
    CHECK(collector.reports.size() == 2);
    if (collector.ends.empty()) collector.round();
    CHECK(collector.ends == std::vector<std::string>{"end of file"});
}

TEST_CASE("a record with a wrong magic number ends the reader; those before it count") {
    Collector collector;
    const Report reports[] = {{}, {.magic = 0x12345678}, {}};
    REQUIRE(write_all(collector.write_end.get(), reports, sizeof reports));
    collector.round();
    CHECK(collector.reports.size() == 1);
    CHECK(collector.ends == std::vector<std::string>{"record with a wrong magic number"});
}

TEST_CASE("a partial record ends the reader") {
    Collector collector;
    const Report reports[2] = {};
    REQUIRE(write_all(collector.write_end.get(), reports, sizeof(Report) + 1));
    collector.round();
    CHECK(collector.reports.size() == 1);
    CHECK(collector.ends == std::vector<std::string>{"partial record"});
}

TEST_CASE("a report handler may destroy the reader, and gets no more reports then") {
    Collector collector;
    collector.destroy_reader_at = 2;
    const Report reports[4] = {};
    REQUIRE(write_all(collector.write_end.get(), reports, sizeof reports));
    collector.round();
    CHECK(collector.reports.size() == 2);
    CHECK(collector.ends.empty());
}
