#include "core/process/cgroup.h"

#include "tests/support/temporary_folder.h"

#include <filesystem>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

using namespace drover;
using namespace drover::test;

namespace {

// What the kernel shows of control groups, as files of the test's own.
class GroupTree {
  public:
    GroupTree(std::string_view groups, std::string_view mounts) {
        put("proc/self/cgroup", groups);
        put("proc/self/mountinfo",
            "22 28 0:20 / /proc rw,nosuid shared:13 - proc proc rw\n" + std::string(mounts));
    }
    const std::string& root() const { return folder_.path(); }
    void put(const std::string& path, std::string_view text) const {
        std::filesystem::create_directories(std::filesystem::path(folder_.file(path)).parent_path());
        write_file(folder_.file(path), text);
    }

  private:
    TemporaryFolder folder_;
};

const std::string unified_mount = "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw\n";

}  // namespace

TEST_CASE("a quota of processors is rounded up, to at least one") {
    const auto processors = [](std::uint64_t quota_us) {
        return ProcessorQuota{quota_us, 100'000, {}}.processors();
    };
    CHECK(processors(1000) == 1);
    CHECK(processors(100'000) == 1);
    CHECK(processors(100'001) == 2);
    CHECK(processors(150'000) == 2);
    CHECK(processors(400'000) == 4);
}

TEST_CASE("cgroup v2: the least of all levels up to the topmost counts") {
    const GroupTree tree("0::/web.slice/drover.service\n", unified_mount);
    CHECK_FALSE(find_processor_quota(tree.root()));
    CHECK_FALSE(find_memory_limit(tree.root()));
    tree.put("sys/fs/cgroup/web.slice/drover.service/cpu.max", "max 100000\n");
    tree.put("sys/fs/cgroup/web.slice/drover.service/memory.max", "max\n");
    CHECK_FALSE(find_processor_quota(tree.root()));
    CHECK_FALSE(find_memory_limit(tree.root()));

    tree.put("sys/fs/cgroup/web.slice/cpu.max", "150000 100000\n");
    tree.put("sys/fs/cgroup/web.slice/memory.max", "268435456\n");
    REQUIRE(find_processor_quota(tree.root()));
    CHECK(find_processor_quota(tree.root())->processors() == 2);
    CHECK(find_processor_quota(tree.root())->folder == "/sys/fs/cgroup/web.slice");
    REQUIRE(find_memory_limit(tree.root()));
    CHECK(find_memory_limit(tree.root())->bytes == 268435456);
    CHECK(find_memory_limit(tree.root())->folder == "/sys/fs/cgroup/web.slice");

    tree.put("sys/fs/cgroup/web.slice/drover.service/cpu.max", "400000 100000\n");
    tree.put("sys/fs/cgroup/web.slice/drover.service/memory.max", "134217728\n");
    CHECK(find_processor_quota(tree.root())->processors() == 2);
    CHECK(find_memory_limit(tree.root())->bytes == 134217728);

    tree.put("sys/fs/cgroup/cpu.max", "50000 100000\n");
    CHECK(find_processor_quota(tree.root())->processors() == 1);
    CHECK(find_processor_quota(tree.root())->folder == "/sys/fs/cgroup");
}

TEST_CASE("cgroup v2 in a namespace of its own: the container's group is the topmost") {
    const GroupTree tree("0::/\n", unified_mount);
    tree.put("sys/fs/cgroup/cpu.max", "200000 100000");
    CHECK(find_processor_quota(tree.root())->processors() == 2);
    const GroupTree other("0::/../outside\n", unified_mount);
    other.put("sys/fs/cgroup/cpu.max", "200000 100000");
    CHECK(find_processor_quota(other.root())->folder == "/sys/fs/cgroup");
}

TEST_CASE("cgroup v1: controllers have hierarchies of their own, a container's mount shows its own group") {
    const GroupTree tree(
        "9:name=systemd:/\n4:memory:/docker/c0ffee\n3:cpuset:/\n1:cpu,cpuacct:/docker/c0ffee\n0::/\n",
        "40 30 0:31 /docker/c0ffee /sys/fs/cgroup/cpuset ro master:3 - cgroup cgroup rw,cpuset\n"
        "41 30 0:29 /docker/c0ffee /sys/fs/cgroup/cpu,cpuacct ro master:1 - cgroup cgroup rw,cpu,cpuacct\n"
        "42 30 0:32 /docker/c0ffee /sys/fs/cgroup/my\\040memory ro - cgroup cgroup rw,memory\n");
    tree.put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
    tree.put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    tree.put("sys/fs/cgroup/my memory/memory.limit_in_bytes", "9223372036854771712\n");
    CHECK_FALSE(find_processor_quota(tree.root()));
    CHECK_FALSE(find_memory_limit(tree.root()));
    tree.put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "250000\n");
    tree.put("sys/fs/cgroup/my memory/memory.limit_in_bytes", "104857600\n");
    REQUIRE(find_processor_quota(tree.root()));
    CHECK(find_processor_quota(tree.root())->processors() == 3);
    REQUIRE(find_memory_limit(tree.root()));
    CHECK(find_memory_limit(tree.root())->bytes == 104857600);
    CHECK(find_memory_limit(tree.root())->folder == "/sys/fs/cgroup/my memory");
}

TEST_CASE("files of control groups that make no sense are no limits") {
    const GroupTree tree("0::/a\nrubbish\n7\n", "rubbish - -\n\n" + unified_mount);
    tree.put("sys/fs/cgroup/a/cpu.max", "");
    tree.put("sys/fs/cgroup/cpu.max", "0 0\n");
    tree.put("sys/fs/cgroup/a/memory.max", "12 monkeys\n");
    CHECK_FALSE(find_processor_quota(tree.root()));
    CHECK_FALSE(find_memory_limit(tree.root()));
    CHECK_FALSE(find_processor_quota("/nowhere"));
}
