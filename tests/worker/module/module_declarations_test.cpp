#include "worker/module/module_declarations.h"

#include <array>
#include <string>

#include <doctest/doctest.h>

using namespace drover;

namespace {

int living_modules = 0;

struct NoOptions {
    static const Options<NoOptions>& options() {
        static const Options<NoOptions> table("Nothing.");
        return table;
    }
};

class Probe : public Module {
  public:
    Probe() { ++living_modules; }
    ~Probe() override { --living_modules; }

    std::string_view name() const noexcept override { return "probe"; }
    const OptionTable& options() const override { return NoOptions::options(); }
    std::vector<CounterDeclaration> counters() const override {
        return {{"probe_total", CounterKind::counter, "probes", "Probes."}};
    }
    void check(const ImageNode&, Complaints& complaints) const override {
        complaints.add("key", "never good");
    }
    void start(Services&, const ImageNode&) override {}
    void connection(Accepted) override {}
};

class Second : public Probe {
  public:
    std::string_view name() const noexcept override { return "second"; }
};

struct Collected : Complaints {
    void add(std::string_view path, std::string message) override {
        text += std::string(path) + ": " + message;
    }
    std::string text;
};

}  // namespace

TEST_CASE("each module's declarations, in their order, with a module behind each check") {
    constexpr std::array<ModuleFactory, 2> factories = {make_module<Probe>, make_module<Second>};
    {
        const std::vector<ModuleDeclaration> declarations = declare_modules(factories);
        REQUIRE(declarations.size() == 2);
        CHECK(declarations[0].name == "probe");
        CHECK(declarations[1].name == "second");
        CHECK(declarations[0].options == &NoOptions::options());
        REQUIRE(declarations[0].counters.size() == 1);
        CHECK(declarations[0].counters[0].name == "probe_total");
        CHECK(living_modules == 2);
        Collected complaints;
        declarations[1].check(ImageNode(), complaints);
        CHECK(complaints.text == "key: never good");
    }
    CHECK(living_modules == 0);
    CHECK(declare_modules({}).empty());
}

TEST_CASE("of modules of one name the first counts") {
    constexpr ModuleFactory wrapped = []() -> std::unique_ptr<Module> { return std::make_unique<Second>(); };
    constexpr std::array<ModuleFactory, 3> factories = {wrapped, make_module<Probe>, make_module<Second>};
    const std::vector<ModuleDeclaration> declarations = declare_modules(factories);
    REQUIRE(declarations.size() == 2);
    CHECK(declarations[0].name == "second");
    CHECK(declarations[1].name == "probe");
}
