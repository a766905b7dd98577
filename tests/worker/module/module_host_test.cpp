#include "worker/module/module_host.h"

#include "tests/support/worker_fixture.h"

#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace drover;
using namespace drover::test;

namespace {

std::vector<std::string> calls;
std::string fails;        // the module whose start throws
std::string drain_fails;  // the one whose drain does

template <char Name>
class Noting final : public Module {
  public:
    std::string_view name() const noexcept override { return {&letter, 1}; }
    const OptionTable& options() const override {
        static const OptionTable none("Notes its calls.");
        return none;
    }
    void start(Services&, const ImageNode&) override {
        if (fails == name()) throw std::runtime_error("will not");
        note("start ");
    }
    void connection(Accepted) override {}
    void drain() override {
        note("drain ");
        if (drain_fails == name()) throw std::runtime_error("will not drain");
    }
    void stop() noexcept override { note("stop "); }

  private:
    void note(const std::string& what) const { calls.push_back(what + std::string(name())); }
    static constexpr char letter = Name;
};

constexpr ModuleFactory factories[] = {make_module<Noting<'a'>>, make_module<Noting<'b'>>,
                                       make_module<Noting<'c'>>};

}  // namespace

TEST_CASE("modules start in the pool's order, drain and stop in reverse") {
    calls.clear();
    fails.clear();
    WorkerFixture worker(factories, "a", "");
    calls.clear();
    ModuleHost host(factories, {"b", "a", "c"});
    CHECK(host.find("a") != nullptr);
    CHECK(host.find("d") == nullptr);
    host.start(worker.services(), ImageNode());
    host.drain(worker.services().log);
    host.stop();
    host.stop();
    CHECK(calls == std::vector<std::string>{"start b", "start a", "start c", "drain c", "drain a", "drain b",
                                            "stop c", "stop a", "stop b"});
}

TEST_CASE("a start that throws names the module and stops those that had started") {
    fails.clear();
    WorkerFixture worker(factories, "a", "");
    calls.clear();
    fails = "c";
    ModuleHost host(factories, {"a", "b", "c"});
    CHECK_THROWS_WITH(host.start(worker.services(), ImageNode()), "module c: will not");
    CHECK(calls == std::vector<std::string>{"start a", "start b", "stop b", "stop a"});
    fails.clear();
}

TEST_CASE("a name without a factory is an error that names it") {
    CHECK_THROWS_WITH(ModuleHost(factories, {"a", "x"}), "module \"x\": this program has no such module");
}

TEST_CASE("a module whose drain fails does not keep the others from being told") {
    calls.clear();
    fails.clear();
    WorkerFixture worker(factories, "a", "");
    ModuleHost host(factories, {"a", "b", "c"});
    host.start(worker.services(), ImageNode());
    calls.clear();
    drain_fails = "b";
    host.drain(worker.services().log);
    drain_fails.clear();
    CHECK(calls == std::vector<std::string>{"drain c", "drain b", "drain a"});
    host.stop();
}
