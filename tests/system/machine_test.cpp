// What the machine leaves to the service: a quota of processor time of its control group.
#include "core/base/system_error.h"
#include "tests/support/contains.h"
#include "tests/support/master_under_test.h"
#include "tests/support/skipped.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace drover::test {
namespace {

// A control group with a quota, as a container has one; not there where none can be made.
class QuotaGroup {
  public:
    QuotaGroup() {
        for (const std::string parent : {"/sys/fs/cgroup", "/sys/fs/cgroup/cpu"}) {
            remove_stale(parent);
            const std::string folder = parent + ("/" + name_start) + std::to_string(::getpid());
            if (::mkdir(folder.c_str(), 0755) != 0) continue;
            folder_ = folder;
            if (set(1)) return;
            remove();
        }
    }
    ~QuotaGroup() { remove(); }
    QuotaGroup(const QuotaGroup&) = delete;
    QuotaGroup& operator=(const QuotaGroup&) = delete;

    explicit operator bool() const { return !folder_.empty(); }
    const std::string& folder() const { return folder_; }
    bool set(unsigned processors) const {
        const std::string quota = std::to_string(processors * 100'000);
        return put("cpu.max", quota + " 100000") || put("cpu.cfs_quota_us", quota);
    }

  private:
    inline static const std::string name_start = "drover-test-";

    // Of a test that was killed. A group that holds a process stays (rmdir(2), EBUSY).
    static void remove_stale(const std::string& parent) {
        std::error_code ignored;
        std::vector<std::filesystem::path> stale;
        for (const auto& entry : std::filesystem::directory_iterator(parent, ignored)) {
            const std::string name = entry.path().filename();
            if (!name.starts_with(name_start)) continue;
            const int pid = std::atoi(name.c_str() + name_start.size());
            if (pid > 0 && ::kill(pid, 0) != 0 && errno == ESRCH) stale.push_back(entry.path());
        }
        for (const auto& folder : stale)
            ::rmdir(folder.c_str());
    }
    bool put(const std::string& name, const std::string& text) const {
        const std::string path = folder_ + "/" + name;
        if (::access(path.c_str(), W_OK) != 0) return false;
        write_file(path, text);
        return true;
    }
    // Those who were in it are gone.
    void remove() {
        if (!folder_.empty()) ::rmdir(folder_.c_str());
        folder_.clear();
    }

    std::string folder_;
};

}  // namespace

TEST_CASE("workers = \"auto\" goes by the quota of the control group, says why, and a reload looks again") {
    if (lacks(::sysconf(_SC_NPROCESSORS_ONLN) >= 2, "two processors")) return;
    const QuotaGroup group;
    if (lacks(static_cast<bool>(group), "a control group with a quota")) return;
    MasterUnderTest::Start start;
    const std::string processes = group.folder() + "/cgroup.procs";
    start.before_exec = [&processes] {
        const int fd = ::open(processes.c_str(), O_WRONLY | O_CLOEXEC);
        if (::write(fd, "0", 1) != 1) ::_exit(1);
    };
    const auto automatic = [](MasterUnderTest& master) {
        std::string text = master.config_text({});
        text.replace(text.find("workers = 2"), 11, "workers = \"auto\"");
        master.write_config_text(text);
    };
    start.prepare = automatic;
    MasterUnderTest master({}, start);
    CHECK(master.worker_pids().size() == 1);
    master.wait_output("workers = \"auto\" means 1: control group " + group.folder() +
                       " allows 1.00 processors' time, of ");
    const pid_t before = master.worker_pids().front();

    REQUIRE(group.set(2));
    CHECK(master.cli({"reload"}).code() == 0);
    master.wait_serving(2);
    CHECK(master.worker_pids().front() == before);
    master.wait_output("pool.main.workers: auto (1) -> auto (2) (hot)");
    master.wait_output("workers = \"auto\" means 2: ");
    master.finish();
}

}  // namespace drover::test
