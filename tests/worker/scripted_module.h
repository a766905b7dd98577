// A module whose connections do what a test says, in every hook. Runs in: tests.
#pragma once

#include "tests/support/worker_fixture.h"
#include "worker/stream/connection.h"

#include <functional>
#include <string>
#include <string_view>

namespace drover::test {

class ScriptedConnection;

// The hooks of all scripted connections; a test fills in those it needs.
struct Script {
    std::function<std::size_t(ScriptedConnection&, std::string_view)> input =
        [](ScriptedConnection&, std::string_view bytes) { return bytes.size(); };
    std::function<void(ScriptedConnection&)> sent = [](ScriptedConnection&) {};
    std::function<void(ScriptedConnection&)> writable = [](ScriptedConnection&) {};
    std::function<void(ScriptedConnection&)> end_of_input;
    std::function<void(ScriptedConnection&)> time_limit;
    std::function<void(ScriptedConnection&)> drain = [](ScriptedConnection&) {};
    std::function<Connection::Movable(ScriptedConnection&, std::string&)> hand_over;
    bool refuse = false;  // to adopt
    std::function<void(ScriptedConnection&)> adopted = [](ScriptedConnection&) {};
    int refused = 0;
    ScriptedConnection* last = nullptr;  // the newest connection
    int destroyed = 0;
};

class ScriptedConnection final : public Connection {
  public:
    ScriptedConnection(Services& services, Accepted accepted, Script& script)
        : Connection(services, std::move(accepted)), script_(script) {
        script_.last = this;
    }
    ~ScriptedConnection() override { ++script_.destroyed; }

    using Connection::in_hook;
    using Connection::output_waits;
    using Move = Connection::Movable;

    const std::string& state() const { return state_; }
    void set_state(std::string_view state) { state_ = state; }

  private:
    std::size_t on_input(std::string_view input) override { return script_.input(*this, input); }
    void on_sent() override { script_.sent(*this); }
    void on_writable() override { script_.writable(*this); }
    void on_end_of_input() override {
        script_.end_of_input ? script_.end_of_input(*this) : Connection::on_end_of_input();
    }
    void on_time_limit() override {
        script_.time_limit ? script_.time_limit(*this) : Connection::on_time_limit();
    }
    Movable on_hand_over(std::string& state) override {
        return script_.hand_over ? script_.hand_over(*this, state) : Movable::never;
    }
    void on_drain() override { script_.drain(*this); }

    Script& script_;
    std::string state_;
};

class ScriptedModule final : public Module {
  public:
    inline static Script* script = nullptr;  // of the test that runs

    std::string_view name() const noexcept override { return "scripted"; }
    const OptionTable& options() const override {
        static const OptionTable none("Does what a test says.");
        return none;
    }
    void start(Services& services, const ImageNode&) override { services_ = &services; }
    void connection(Accepted accepted) override {
        open_connection<ScriptedConnection>(*services_, std::move(accepted), *script);
    }

    void adopt(Accepted accepted, std::string_view state) override {
        if (script->refuse) {
            ++script->refused;
            throw std::runtime_error("refused");
        }
        auto& connection = open_connection<ScriptedConnection>(*services_, std::move(accepted), *script);
        connection.set_state(state);
        script->adopted(connection);
    }

  private:
    Services* services_ = nullptr;
};

inline constexpr ModuleFactory scripted_modules[] = {make_module<ScriptedModule>};

struct ScriptedWorker : WorkerFixture {
    explicit ScriptedWorker(Script& script)
        : WorkerFixture((ScriptedModule::script = &script, scripted_modules), "scripted", "") {}
};

}  // namespace drover::test
