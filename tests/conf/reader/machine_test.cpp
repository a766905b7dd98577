#include "conf/reader/machine.h"

#include "conf/options/reference.h"
#include "conf/settings.h"
#include "tests/conf/toy_modules.h"
#include "tests/support/contains.h"

#include <algorithm>
#include <string>
#include <string_view>

#include <doctest/doctest.h>
#include <sched.h>

using namespace drover;
using test::contains;

namespace {

constexpr std::uint64_t mega = 1024 * 1024;

CheckedConfiguration check_on(const Machine& machine, std::string_view text, const Image* running = nullptr) {
    return check_document(parse_toml(text, "/etc/toy.toml"), toy::modules(), running, machine);
}

Machine small_machine() {
    return {.processors = 2, .processors_reason = "so it is", .memory = 1000 * mega, .descriptors = 1000};
}

// How many processors the process may run on while this lives: one.
class OneProcessor {
  public:
    OneProcessor() {
        REQUIRE(::sched_getaffinity(0, sizeof before_, &before_) == 0);
        cpu_set_t one;
        CPU_ZERO(&one);
        for (std::size_t processor = 0; processor < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++processor)
            if (CPU_ISSET(processor, &before_)) CPU_SET(processor, &one);
        REQUIRE(::sched_setaffinity(0, sizeof one, &one) == 0);
    }
    ~OneProcessor() { ::sched_setaffinity(0, sizeof before_, &before_); }

  private:
    cpu_set_t before_;
};

}  // namespace

TEST_CASE("a machine has at least a processor, memory and descriptors, and says why") {
    const Machine machine = Machine::look();
    CHECK(machine.processors >= 1);
    CHECK(machine.memory > mega);
    CHECK(machine.descriptors > 0);
    CHECK_FALSE(machine.processors_reason.empty());
    const OneProcessor bound;
    CHECK(Machine::look().processors == 1);
}

TEST_CASE("\"auto\" workers are a number in the image, which every process of the generation goes by") {
    const std::vector<std::byte> bytes = check_on(small_machine(), "[pool.a]\n[pool.b]\nworkers = 3").image;
    const Image image = Image::view(bytes);
    const OneProcessor bound;  // as a worker is that has a processor of its own
    const Settings settings = Settings::load(image);
    CHECK(settings.pools.at(0).workers == 2);
    CHECK(settings.pools.at(1).workers == 3);
    CHECK(settings.auto_workers == "2: so it is");
    CHECK(contains(to_toml(image), "# workers = \"auto\"  # 2\n"));

    const std::vector<std::byte> fixed = check_on(small_machine(), "[pool.b]\nworkers = 3").image;
    CHECK(Settings::load(Image::view(fixed)).auto_workers.empty());
}

TEST_CASE("a reload finds that the machine leaves another number of processors") {
    const std::vector<std::byte> bytes = check_on(small_machine(), "[pool.a]\nmodules = ['echo']").image;
    const Image running = Image::view(bytes);
    Machine larger = small_machine();
    larger.processors = 4;
    larger.processors_reason = "it has grown";
    const Difference difference = check_on(larger, "[pool.a]\nmodules = ['echo']", &running).difference;
    CHECK(difference.change == Change::hot);
    CHECK(difference.lines == std::vector<std::string>{"pool.a.workers: auto (2) -> auto (4) (hot)"});
    CHECK(check_on(small_machine(), "[pool.a]\nmodules = ['echo']", &running).difference.change ==
          Change::none);
}

TEST_CASE("memory is a share of what there is, or an equal part for each worker of all pools") {
    const std::vector<std::byte> bytes = check_on(small_machine(),
                                                  "[pool.a]\nworkers = 'auto'\nmemory_limit = 'auto'\n"
                                                  "recycle.memory = '25%'\n"
                                                  "[pool.b]\nworkers = 1\nmemory_limit = '100%'\n"
                                                  "recycle.memory = 'auto'\n"
                                                  "[pool.c]\nmemory_limit = 'off'")
                                             .image;
    const Image image = Image::view(bytes);
    const Settings settings = Settings::load(image);
    // Nine tenths, for 2 + 1 + 2 workers.
    CHECK(settings.pools.at(0).memory_limit / mega == 180);
    CHECK(settings.pools.at(0).recycle.memory / mega == 250);
    CHECK(settings.pools.at(1).memory_limit / mega == 1000);
    CHECK(settings.pools.at(1).recycle.memory / mega == 180);
    CHECK(settings.pools.at(2).memory_limit == 0);
    CHECK(contains(to_toml(image), "memory_limit = \"100%\"  # 1000M\n"));
    const std::vector<std::string> numbers = automatic_values(image);
    CHECK(std::ranges::count_if(numbers,
                                [](const auto& text) { return text.ends_with(".memory_limit 1000M"); }) == 1);

    Machine tiny = small_machine();
    tiny.memory = 100'000;
    const std::vector<std::byte> least = check_on(tiny, "[pool.a]\nmemory_limit = '1%'").image;
    CHECK(Settings::load(Image::view(least)).pools.at(0).memory_limit == mega);
}

TEST_CASE("what is no share is a finding that shows one") {
    for (const char* wrong : {"0%", "101%", "%", "1.5%", "-3%", "25 %", "half"}) {
        const auto findings =
            check_on(small_machine(), "[pool.a]\nmemory_limit = '" + std::string(wrong) + "'").findings;
        REQUIRE(findings.size() == 1);
        CHECK(contains(findings[0], "\"off\", \"auto\" or a share such as \"25%\""));
    }
    CHECK_FALSE(check_on(small_machine(), "[pool.a]\ncore_limit = '25%'").findings.empty());
    CHECK_FALSE(check_on(small_machine(), "[pool.a]\nworkers = '25%'").findings.empty());
}
