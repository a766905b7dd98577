// Readers of a running master's counter table, on their own: one in the test, and one that is a process and
// looks at everything again and again. Runs in: tests.
#pragma once

#include "core/counter_reader.h"
#include "master/control_client.h"
#include "tests/support/master_under_test.h"

#include <algorithm>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace drover::test {

// Looks at every column and keeps the first that went back.
class ForwardCheck {
  public:
    void look(const CounterReader& reader) {
        for (const CounterReader::Sum& sum : reader.sums()) {
            if (sum.kind == CounterKind::gauge) continue;
            std::vector<std::uint64_t> values{sum.value, sum.sum};
            values.insert(values.end(), sum.buckets.begin(), sum.buckets.end());
            std::vector<std::uint64_t>& before = before_[sum.text()];
            before.resize(values.size());
            for (std::size_t i = 0; i < values.size(); ++i) {
                if (values[i] < before[i] && failure_.empty()) {
                    failure_ = sum.text() + " went from " + std::to_string(before[i]) + " back to " +
                               std::to_string(values[i]);
                }
            }
            before = std::move(values);
        }
    }
    const std::string& failure() const { return failure_; }

  private:
    std::map<std::string, std::vector<std::uint64_t>> before_;
    std::string failure_;
};

// A process that maps the table and reads it again and again, at least so many times and until it is told to
// stop. What went wrong is its last word.
class ReaderProcess {
  public:
    ReaderProcess(const MasterUnderTest& master, unsigned reads) {
        const UniqueFd table = ask_for_counters(master.control_path()).table;
        int stop[2];
        int said[2];
        if (::pipe2(stop, O_CLOEXEC | O_NONBLOCK) != 0) throw std::runtime_error("pipe2");
        if (::pipe2(said, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
        pid_ = ::fork();
        if (pid_ < 0) throw std::runtime_error("fork");
        if (pid_ == 0) {
            ::close(stop[1]);
            const std::string text = read(table.get(), stop[0], reads);
            const bool told = ::write(said[1], text.data(), text.size()) == static_cast<ssize_t>(text.size());
            ::_exit(told ? 0 : 1);
        }
        ::close(stop[0]);
        ::close(said[1]);
        stop_.reset(stop[1]);
        said_.reset(said[0]);
    }
    ~ReaderProcess() {
        if (pid_ > 0) finish();
    }
    ReaderProcess(const ReaderProcess&) = delete;
    ReaderProcess& operator=(const ReaderProcess&) = delete;

    // What went wrong; empty when nothing did.
    std::string finish() {
        stop_.reset();
        char text[512];
        const ssize_t size = ::read(said_.get(), text, sizeof text);
        ::waitpid(std::exchange(pid_, 0), nullptr, 0);
        return {text, static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
    }

  private:
    static std::string read(int table, int stop, unsigned reads) {
        try {
            const CounterReader reader(table);
            ForwardCheck check;
            unsigned count = 0;
            const auto told = [&] {
                char byte = 0;
                return ::read(stop, &byte, 1) == 0;
            };
            for (; count < reads || !told(); ++count)
                check.look(reader);
            return check.failure().empty() ? "" : check.failure();
        } catch (const std::exception& failure) {
            return failure.what();
        }
    }

    pid_t pid_ = -1;
    UniqueFd stop_;
    UniqueFd said_;
};

inline CounterReader reader_of(const MasterUnderTest& master) {
    return CounterReader(ask_for_counters(master.control_path()).table.get());
}

inline std::uint64_t value(const CounterReader& reader, const std::string& text) {
    for (const CounterReader::Sum& sum : reader.sums())
        if (sum.text() == text) return sum.value;
    return 0;
}

}  // namespace drover::test
