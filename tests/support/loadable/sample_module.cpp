// A module in a shared library, in several builds: it says SAMPLE_WORD to whoever connects. Others are broken
// in one way each.
#include "worker/module/loadable_module.h"
#include "worker/stream/connection.h"

#include <filesystem>
#include <stdexcept>
#include <system_error>

namespace {

class SampleConnection final : public drover::Connection {
  public:
    SampleConnection(drover::Services& services, drover::Accepted accepted)
        : Connection(services, std::move(accepted)) {}

  private:
    std::size_t on_input(std::string_view input) override {
        write(SAMPLE_WORD);
        close();
        return input.size();
    }
};

class SampleModule final : public drover::Module {
  public:
#if defined(SAMPLE_MISDECLARED)
    SampleModule() {
        throw std::filesystem::filesystem_error("the module looks for its folder",
                                                std::make_error_code(std::errc::no_such_file_or_directory));
    }
#endif
    std::string_view name() const noexcept override {
        return "sample";
    }
    const drover::OptionTable& options() const override {
        return keys_;
    }
    void start(drover::Services& services, const drover::ImageNode&) override {
        services_ = &services;
    }
    void connection(drover::Accepted accepted) override {
        drover::open_connection<SampleConnection>(*services_, std::move(accepted));
    }

  private:
    drover::OptionTable keys_{"Says one word."};
    drover::Services* services_ = nullptr;
};

#if defined(SAMPLE_THROWS)
struct Thrower {
    Thrower() { throw std::runtime_error("a constructor of the library throws"); }
} thrower;
#endif

}  // namespace

#if defined(SAMPLE_UNRESOLVED)
void nobody_has_this();
void (*use_it)() = &nobody_has_this;
#endif

#if defined(SAMPLE_OTHER_BUILD)
extern "C"
    [[gnu::used, gnu::section(".note.drover"), gnu::aligned(4)]] const drover::ModuleNote drover_module_note =
        drover::make_module_note("drover 0.0.9");
#elif !defined(SAMPLE_PLAIN)
DROVER_MODULE(SampleModule)
#endif
