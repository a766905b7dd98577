// Whatever operators, clients and the machine do to a service, in random order: afterwards it is whole, and
// nothing was lost that nobody killed. DROVER_OPERATIONS_SECONDS: how long (20); DROVER_OPERATIONS_SEED: the
// seed to begin with (1).
#include "master/control/control_message.h"
#include "tests/support/contains.h"
#include "tests/support/held_connections.h"
#include "tests/support/losses.h"
#include "tests/support/proc.h"
#include "tests/support/shortage.h"
#include "tests/support/trouble_program.h"

#include <array>
#include <cstdlib>
#include <memory>
#include <random>
#include <set>
#include <system_error>

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/resource.h>

namespace drover::test {
namespace {

constexpr unsigned most_workers = 4;

unsigned number_of(const char* variable, unsigned otherwise) {
    const char* const text = std::getenv(variable);
    return text == nullptr ? otherwise : static_cast<unsigned>(std::stoul(text));
}

// One service, a number of operations, and what must hold after them.
class OperationsRound {
  public:
    explicit OperationsRound(unsigned seed) : random_(seed), as_nobody_(seed % 3 == 0) {}

    void run() {
        whole();
        fds_ = descriptors_of(master_.pid());
        for (unsigned i = 0; i < 25; ++i)
            step();
        end_trouble();
        check_answers();
        settle();
        const BusyClients::Totals totals = clients_.stop();
        CHECK(totals.replies > 0);
        INFO(master_.output());
        check_losses(totals, held_);
        check_deaths();
        constexpr std::array ends{SIGTERM, SIGQUIT, SIGINT};
        master_.finish(ends.at(random_() % ends.size()));
    }

    const std::string& history() const { return history_; }

  private:
    struct Operation {
        const char* name;
        void (OperationsRound::*act)();
    };

    TestConfig config() {
        return {.body = "body " + std::to_string(random_()),
                .workers = most_workers,
                .modules = "\"http\", \"echo\", \"trouble\"",
                .master = "max_generations = 8\n[master.probation]\ntime = \"off\"\n",
                .pool =
                    "hang_timeout = \"2s\"\nreport_interval = \"50ms\"\nstart_timeout = \"5s\"\n"
                    "respawn = { delay = \"10ms\", burst = 1000 }\n",
                .rest = "\n[module.trouble]\n"};
    }

    void step() {
        static constexpr std::array<Operation, 13> operations{{
            {"hot reload", &OperationsRound::reload_hot},
            {"fresh reload", &OperationsRound::reload_fresh},
            {"reload of a broken file", &OperationsRound::reload_broken},
            {"reload of workers that do not start", &OperationsRound::reload_failing},
            {"resize", &OperationsRound::resize},
            {"restart", &OperationsRound::restart},
            {"signals", &OperationsRound::signals},
            {"kill of a worker", &OperationsRound::kill_worker},
            {"freeze of a worker", &OperationsRound::freeze_worker},
            {"freeze of the master", &OperationsRound::freeze_master},
            {"no descriptors", &OperationsRound::take_descriptors},
            {"no processes", &OperationsRound::take_processes},
            {"end of trouble", &OperationsRound::end_trouble},
        }};
        const Operation& operation = operations.at(random_() % operations.size());
        history_ += std::string(operation.name) + "; ";
        (this->*operation.act)();
        ::poll(nullptr, 0, static_cast<int>(random_() % 150));  // they fall into each other, or not
    }

    void ask(const ControlRequest& request) {
        const std::string line = control_request_line(request);
        calls_.push_back({line, ControlCall::with_line(master_.control_path(), line)});
    }
    void reload_hot() {
        master_.write_config(config());
        ask({.command = "reload"});
    }
    void reload_fresh() {
        master_.write_config(config());
        ask({.command = "reload", .fresh = true});
    }
    void reload_broken() {
        master_.write_config_text("[pool.main\n");
        ask({.command = "reload"});
    }
    void reload_failing() {
        TestConfig failing = config();
        failing.rest += "in_start = \"throw\"\n";
        master_.write_config(failing);
        ask({.command = "reload", .fresh = true});
    }
    void resize() {
        ask({.command = "workers",
             .pool = "main",
             .count = 1 + static_cast<unsigned>(random_() % most_workers)});
    }
    void restart() {
        ask({.command = "restart", .pool = "main", .slot = static_cast<unsigned>(random_() % most_workers)});
    }
    void signals() {
        for (const int signal : {SIGUSR1, SIGCHLD, SIGHUP, SIGWINCH, SIGTTOU})
            if (random_() % 2 == 0) master_.signal(signal);
    }

    pid_t any_worker() {
        const std::vector<pid_t> workers = workers_of(master_.pid());
        return workers.empty() ? 0 : workers[random_() % workers.size()];
    }
    // What it holds as it stands still. The master stands still meanwhile: it kills those that are stopped
    // when they have to leave, and then nobody knows any more.
    bool freeze_and_look(pid_t worker) {
        if (worker == 0 || !freeze(master_.pid())) return false;
        const bool frozen = freeze(worker);
        if (frozen) held_.merge(clients_held_by(worker, master_.http_port()));
        master_.signal(SIGCONT);
        return frozen;
    }
    void kill_worker() {
        if (const pid_t worker = any_worker(); freeze_and_look(worker)) ::kill(worker, SIGKILL);
    }
    // One that is frozen for longer than hang_timeout, or when it is to leave, is killed by the master.
    void freeze_worker() {
        if (const pid_t worker = any_worker(); freeze_and_look(worker)) frozen_.push_back(worker);
    }
    void freeze_master() {
        master_.signal(SIGSTOP);
        ::poll(nullptr, 0, static_cast<int>(random_() % 3000));
        master_.signal(SIGCONT);
    }
    void take_descriptors() {
        const pid_t victim = random_() % 2 == 0 ? master_.pid() : any_worker();
        if (victim == 0) return;
        try {
            shortages_.push_back(std::make_unique<NoDescriptors>(victim, static_cast<int>(random_() % 4)));
        } catch (const std::system_error&) {  // it has just ended
        }
    }
    // Root may have as many as it likes.
    void take_processes() {
        if (as_nobody_) limit(master_.pid(), RLIMIT_NPROC, 0);
    }
    static void limit(pid_t pid, __rlimit_resource resource, rlim_t most) {
        rlimit now{};
        if (::prlimit(pid, resource, nullptr, &now) != 0) return;
        now.rlim_cur = std::min(most, now.rlim_max);
        ::prlimit(pid, resource, &now, nullptr);
    }

    void end_trouble() {
        for (const pid_t worker : frozen_)
            ::kill(worker, SIGCONT);
        frozen_.clear();
        shortages_.clear();
        std::vector<pid_t> all = children_of(master_.pid());
        all.push_back(master_.pid());
        for (const pid_t pid : all) {
            limit(pid, RLIMIT_NOFILE, RLIM_INFINITY);
            limit(pid, RLIMIT_NPROC, RLIM_INFINITY);
        }
    }

    void check_answers() {
        for (auto& [line, call] : calls_) {
            try {
                call.wait();
            } catch (const std::exception& failure) {
                FAIL_CHECK(line << std::string(failure.what()) << "\n" << master_.output());
            }
        }
        calls_.clear();
    }

    // The reload that comes after all trouble is done, and there is what it says.
    void settle() {
        const TestConfig last = config();
        master_.write_config(last);
        const ControlReply reply = master_.control("reload");
        CHECK_MESSAGE(reply.ok, reply.text);
        end_trouble();  // what started in the last moment of a shortage has its limits
        whole();
        CHECK(master_.get() == last.body);
        std::size_t children = 0;
        std::string fds;
        INFO(children, " processes; descriptors:\n", fds, "at first:\n", fds_);
        master_.wait_until("no process but the workers, no descriptor more", [&] {
            children = children_of(master_.pid()).size();
            fds = descriptors_of(master_.pid());
            return children == most_workers && occurrences(fds, "\n") <= occurrences(fds_, "\n");
        });
    }

    void whole() { master_.wait_serving(most_workers, Deadline(std::chrono::seconds(15))); }

    // Only we have killed, or the master those who stood still.
    void check_deaths() const {
        const std::string output = master_.output();
        for (const char* sign : {"SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL"})
            CHECK_MESSAGE(!contains(output, sign), std::string(sign));
        CHECK(occurrences(output, "SIGABRT") == occurrences(output, "SIGABRT) (hung)"));
    }

    std::minstd_rand random_;
    bool as_nobody_;
    std::string history_;
    MasterUnderTest master_{
        config(), {.program = DROVER_TROUBLE_PROGRAM, .user = as_nobody_ ? uid_t{65534} : uid_t{0}}};
    BusyClients clients_{master_.http_port(), 24, "body"};
    std::string fds_;
    std::multiset<std::uint16_t> held_;
    std::vector<pid_t> frozen_;
    std::vector<std::unique_ptr<NoDescriptors>> shortages_;
    std::vector<std::pair<std::string, ControlCall>> calls_;
};

}  // namespace

TEST_CASE("whatever is done to a service in whatever order, it is whole again, and nothing else is lost") {
    const Deadline::Clock::time_point end =
        Deadline::Clock::now() + std::chrono::seconds(number_of("DROVER_OPERATIONS_SECONDS", 20));
    unsigned seed = number_of("DROVER_OPERATIONS_SEED", 1);
    do {
        OperationsRound round(seed);
        INFO("seed ", seed, ": ", round.history());
        round.run();
        ++seed;
    } while (Deadline::Clock::now() < end);
}

}  // namespace drover::test
