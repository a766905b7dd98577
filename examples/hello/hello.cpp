// hello greets everybody by the name that they send: a complete server with a module of its own.
#include <drover/cli.h>
#include <drover/connection.h>
#include <drover/module.h>

struct HelloConnection final : drover::Connection {
    HelloConnection(drover::Services& services, drover::Accepted accepted)
        : Connection(services, std::move(accepted)) {}
    std::size_t on_input(std::string_view input) override {
        std::size_t start = 0;
        for (std::size_t end = 0; (end = input.find('\n', start)) != input.npos; start = end + 1)
            write("Hello, " + std::string(input.substr(start, end - start)) + "!\n");
        return start;
    }
};

struct HelloModule final : drover::Module {
    std::string_view name() const noexcept override { return "hello"; }
    const drover::OptionTable& options() const override { return keys; }
    void start(drover::Services& given, const drover::ImageNode&) override { services = &given; }
    void connection(drover::Accepted accepted) override {
        drover::open_connection<HelloConnection>(*services, std::move(accepted));
    }
    drover::OptionTable keys{"Greets everybody by name."};
    drover::Services* services = nullptr;
};

int main(int argc, char** argv) {
    constexpr drover::ModuleFactory modules[] = {drover::make_module<HelloModule>};
    return drover::run_command_line(argc, argv, modules);
}
