// Readers of a running master's counter table, on their own: one in the test, and one that is a process and
// looks at everything again and again. Runs in: tests.
#pragma once

#include "core/counters/counter_reader.h"
#include "master/control/control_client.h"
#include "tests/support/master_under_test.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
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
    // Counters that nobody falsifies go forward only.
    enum class Expects : std::uint8_t { forward, anything };

    explicit ReaderProcess(const MasterUnderTest& master, unsigned at_least = 1,
                           Expects expects = Expects::forward) {
        reads_ = static_cast<std::atomic<unsigned>*>(
            ::mmap(nullptr, sizeof *reads_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
        if (reads_ == MAP_FAILED) throw std::runtime_error("mmap");
        const CounterSource source = ask_for_counters(master.control_path());
        int stop[2];
        int said[2];
        if (::pipe2(stop, O_CLOEXEC | O_NONBLOCK) != 0) throw std::runtime_error("pipe2");
        if (::pipe2(said, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
        pid_ = ::fork();
        if (pid_ < 0) throw std::runtime_error("fork");
        if (pid_ == 0) {
            ::close(stop[1]);
            const std::string text = read(source, stop[0], *reads_, at_least, expects);
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
        ::munmap(reads_, sizeof *reads_);
    }
    ReaderProcess(const ReaderProcess&) = delete;
    ReaderProcess& operator=(const ReaderProcess&) = delete;

    pid_t pid() const { return pid_; }
    // How many times it has read all of the table so far.
    unsigned reads() const { return *reads_; }

    // What went wrong, its own end included; empty when nothing did.
    std::string finish() {
        stop_.reset();
        char text[512];
        const ssize_t size = ::read(said_.get(), text, sizeof text);
        std::string wrong(text, static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
        int status = 0;
        if (::waitpid(std::exchange(pid_, 0), &status, 0) < 0) return wrong + " (the reader is lost)";
        if (WIFSIGNALED(status))
            wrong += " (the reader died of signal " + std::to_string(WTERMSIG(status)) + ")";
        if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
            wrong += " (the reader exited with " + std::to_string(WEXITSTATUS(status)) + ")";
        return wrong;
    }

  private:
    static std::string read(const CounterSource& source, int stop, std::atomic<unsigned>& reads,
                            unsigned at_least, Expects expects) {
        try {
            const CounterReader reader(source.table.get(), source.rows);
            ForwardCheck check;
            const auto told = [&] {
                char byte = 0;
                return ::read(stop, &byte, 1) == 0;
            };
            for (; reads < at_least || !told(); ++reads)
                check.look(reader);
            return expects == Expects::forward ? check.failure() : "";
        } catch (const std::exception& failure) {
            return failure.what();
        }
    }

    std::atomic<unsigned>* reads_ = nullptr;  // shared with it
    pid_t pid_ = -1;
    UniqueFd stop_;
    UniqueFd said_;
};

inline CounterReader reader_of(const MasterUnderTest& master) {
    const CounterSource source = ask_for_counters(master.control_path());
    return CounterReader(source.table.get(), source.rows);
}

inline std::uint64_t value(const CounterReader& reader, const std::string& text) {
    for (const CounterReader::Sum& sum : reader.sums())
        if (sum.text() == text) return sum.value;
    return 0;
}

}  // namespace drover::test
