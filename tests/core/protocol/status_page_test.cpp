#include "core/protocol/status_page.h"

#include "core/memory/sequence_lock.h"

#include <atomic>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

using namespace drover;

namespace {

// Zeroed memory that holds a page of so many lines.
struct PageMemory {
    explicit PageMemory(std::uint32_t lines)
        : size(StatusPage::size_for(lines)),
          words(size / 8),
          page(StatusPage::create(words.data(), lines)),
          writer(page, lines) {}

    // Where the fixed fields lie: sequence, then capacity, worker stride, workers offset, master size.
    std::uint32_t& field(std::size_t index) {
        return reinterpret_cast<std::uint32_t*>(words.data())[2 + index];
    }

    std::size_t size;
    std::vector<std::uint64_t> words;
    StatusPage& page;
    StatusWriter writer;
};

WorkerStatus worker(std::uint32_t slot, WorkerState state) {
    WorkerStatus status;
    std::strcpy(status.pool, "main");
    status.slot = slot;
    status.pid = 1000 + slot;
    status.state = state;
    status.accepted = 10 * slot;
    return status;
}

}  // namespace

TEST_CASE("status_page: texts") {
    CHECK(std::string(to_text(MasterState::starting)) == "starting");
    CHECK(std::string(to_text(MasterState::running)) == "running");
    CHECK(std::string(to_text(MasterState::reloading)) == "reloading");
    CHECK(std::string(to_text(MasterState::degraded)) == "degraded");
    CHECK(std::string(to_text(MasterState::stopping)) == "stopping");
    CHECK(std::string(to_text(static_cast<MasterState>(99))) == "unknown");
    CHECK(std::string(to_text(WorkerState::none)) == "none");
    CHECK(std::string(to_text(WorkerState::starting)) == "starting");
    CHECK(std::string(to_text(WorkerState::serving)) == "serving");
    CHECK(std::string(to_text(WorkerState::draining)) == "draining");
    CHECK(std::string(to_text(WorkerState::backing_off)) == "backing_off");
    CHECK(std::string(to_text(static_cast<WorkerState>(99))) == "unknown");
    CHECK(std::string(to_text(ReloadResult::none)) == "none");
    CHECK(std::string(to_text(ReloadResult::ok)) == "ok");
    CHECK(std::string(to_text(ReloadResult::refused)) == "refused");
    CHECK(std::string(to_text(ReloadResult::rolled_back)) == "rolled_back");
    CHECK(std::string(to_text(static_cast<ReloadResult>(99))) == "unknown");
}

TEST_CASE("status_page: a new page is empty and says starting") {
    PageMemory memory(4);
    const StatusSnapshot snapshot = memory.page.read(memory.size);
    CHECK(snapshot.master.state == MasterState::starting);
    CHECK(snapshot.master.worker_count == 0);
    CHECK(snapshot.workers.empty());
}

TEST_CASE("status_page: what is written is read") {
    PageMemory memory(4);
    MasterStatus master;
    master.pid = 77;
    master.state = MasterState::degraded;
    master.generation = 12;
    master.last_reload = ReloadResult::refused;
    std::strcpy(master.last_reload_error, "line 3: no such key");
    memory.writer.write(master, {worker(0, WorkerState::serving), worker(1, WorkerState::backing_off)});

    StatusSnapshot snapshot = memory.page.read(memory.size);
    CHECK(snapshot.master.pid == 77);
    CHECK(snapshot.master.state == MasterState::degraded);
    CHECK(snapshot.master.generation == 12);
    CHECK(snapshot.master.last_reload == ReloadResult::refused);
    CHECK(std::string(snapshot.master.last_reload_error) == "line 3: no such key");
    CHECK(snapshot.master.worker_count == 2);
    REQUIRE(snapshot.workers.size() == 2);
    CHECK(std::string(snapshot.workers[1].pool) == "main");
    CHECK(snapshot.workers[1].state == WorkerState::backing_off);
    CHECK(snapshot.workers[1].accepted == 10);

    memory.writer.write(master, {});
    CHECK(memory.page.read(memory.size).workers.empty());
}

TEST_CASE("status_page: more workers than lines are cut") {
    PageMemory memory(2);
    memory.writer.write({}, {worker(0, WorkerState::serving), worker(1, WorkerState::serving),
                             worker(2, WorkerState::serving)});
    const StatusSnapshot snapshot = memory.page.read(memory.size);
    CHECK(snapshot.master.worker_count == 2);
    REQUIRE(snapshot.workers.size() == 2);
    CHECK(snapshot.workers[1].slot == 1);
}

TEST_CASE("status_page: a reader trusts the size it is given and not the page") {
    PageMemory memory(3);
    memory.writer.write({}, {worker(0, WorkerState::serving), worker(1, WorkerState::serving)});
    CHECK(memory.page.read(StatusPage::size_for(1)).workers.size() == 1);
    CHECK(memory.page.read(StatusPage::size_for(1) - 8).workers.empty());
    CHECK_THROWS_AS(memory.page.read(StatusPage::size_for(0) - 8), std::runtime_error);
    CHECK_THROWS_AS(memory.page.read(0), std::runtime_error);

    memory.field(0) = 0xffffffff;
    MasterStatus master;
    master.worker_count = 0xffffffff;
    store_words(memory.words.data() + sizeof(StatusPage) / 8, &master, sizeof master);
    CHECK(memory.page.read(memory.size).workers.size() == 3);

    std::memset(memory.words.data() + StatusPage::size_for(0) / 8, 'x', sizeof(WorkerStatus::pool));
    CHECK(std::string(memory.page.read(memory.size).workers[0].pool) == std::string(63, 'x'));
}

TEST_CASE("status_page: a writer goes by nothing that it finds on the page") {
    PageMemory memory(2);
    std::memset(memory.words.data(), 0x7f, sizeof(StatusPage));
    memory.writer.write({}, {worker(1, WorkerState::serving), worker(2, WorkerState::serving),
                             worker(3, WorkerState::serving)});
    WorkerStatus second;
    load_words(&second, memory.words.data() + (StatusPage::size_for(1)) / 8, sizeof second);
    CHECK(second.slot == 2);
}

TEST_CASE("status_page: a damaged layout is refused") {
    PageMemory memory(3);
    REQUIRE(memory.page.read(memory.size).workers.empty());
    SUBCASE("stride too small") {
        memory.field(1) = 8;
    }
    SUBCASE("stride not of words") {
        memory.field(1) += 4;
    }
    SUBCASE("workers in the header") {
        memory.field(2) = 8;
    }
    SUBCASE("workers not aligned") {
        memory.field(2) += 4;
    }
    SUBCASE("workers beyond the end") {
        memory.field(2) = 0xfffffff8;
    }
    SUBCASE("another master") {
        memory.field(3) = 16;
    }
    CHECK_THROWS_AS(memory.page.read(memory.size), std::runtime_error);
}

TEST_CASE("status_page: a master that died in mid-write is said, and its successor goes on") {
    PageMemory memory(1);
    memory.writer.write({}, {worker(5, WorkerState::serving)});
    memory.words[0] |= 1;
    CHECK_THROWS_AS(memory.page.read(memory.size), std::runtime_error);
    memory.writer.write({}, {worker(6, WorkerState::serving)});
    CHECK(memory.words[0] % 2 == 0);
    CHECK(memory.page.read(memory.size).workers[0].slot == 6);
}

TEST_CASE("status_page: no reader sees half of a write") {
    PageMemory memory(8);
    const auto fill = [&](std::uint32_t number) {
        MasterStatus master;
        master.pid = number;
        master.generation = number;
        std::vector<WorkerStatus> workers(1 + number % 8, worker(number, WorkerState::serving));
        memory.writer.write(master, workers);
    };
    fill(0);
    std::atomic<bool> done{false};
    std::thread writer([&] {
        for (std::uint32_t number = 1; number <= 20000; ++number) {
            fill(number);
            // A reader needs a moment between two writes.
            for (int i = 0; i < 300; ++i)
                (void)done.load();
        }
        done = true;
    });
    std::uint64_t last = 0;
    unsigned wrong = 0;
    const auto look = [&] {
        const StatusSnapshot snapshot = memory.page.read(memory.size);
        const std::uint64_t number = snapshot.master.generation;
        if (number < last || snapshot.master.pid != number || snapshot.workers.size() != 1 + number % 8)
            ++wrong;
        for (const WorkerStatus& one : snapshot.workers) {
            if (one.slot != number || one.accepted != std::uint32_t(10 * number)) ++wrong;
        }
        last = number;
    };
    do {
        try {
            look();
        } catch (const std::runtime_error&) {
            continue;  // the writer had no processor for too long in the middle of a write
        }
    } while (!done);
    writer.join();
    CHECK(wrong == 0);
    CHECK(memory.page.read(memory.size).master.generation == 20000);
}

TEST_CASE("a worker is silent when it has missed three reports and a second, or stands still") {
    WorkerStatus worker;
    worker.pid = 7;
    worker.report_interval_ms = 100;
    CHECK_FALSE(silent_ms(worker, 50'000).has_value());  // it has not reported yet
    worker.heartbeat_ms = 50'000;
    CHECK_FALSE(silent_ms(worker, 51'000).has_value());
    CHECK(silent_ms(worker, 51'001) == 1001);
    worker.report_interval_ms = 10'000;
    CHECK_FALSE(silent_ms(worker, 80'000).has_value());
    CHECK(silent_ms(worker, 80'001) == 30'001);
    worker.stands_still = 1;
    CHECK(silent_ms(worker, 50'003) == 3);
    CHECK(silent_ms(worker, 49'000) == 0);
    worker.pid = 0;
    CHECK_FALSE(silent_ms(worker, 80'001).has_value());
}
