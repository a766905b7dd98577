// chat is one room: the first line that a guest sends is its name, all others are heard by everybody else. A
// reload moves the room into the new worker, and nobody notices: a guest's name travels with its socket. All
// guests move in one message (up to 250 do), so no word is lost between the two workers.
#include <algorithm>
#include <vector>

#include <drover/cli.h>
#include <drover/connection.h>
#include <drover/module.h>

namespace {

class Guest;
using Room = std::vector<Guest*>;

class Guest final : public drover::Connection {
  public:
    Guest(drover::Services& services, drover::Accepted accepted, Room& room, std::string_view name)
        : Connection(services, std::move(accepted)), room_(room), name_(name) {
        room_.push_back(this);
    }
    ~Guest() override { std::erase(room_, this); }

  private:
    static constexpr std::size_t max_line = 4096;

    std::size_t on_input(std::string_view input) override {
        std::size_t start = 0;
        for (std::size_t end = 0; (end = input.find('\n', start)) != input.npos; start = end + 1)
            take_line(input.substr(start, end - start));
        if (input.size() - start > max_line) close();
        return start;
    }
    void take_line(std::string_view line) {
        if (!name_.empty()) return tell(name_ + ": " + std::string(line) + "\n");
        if (line.empty()) return;
        name_ = line;
        write("Welcome, " + name_ + "\n");
        tell(name_ + " is here\n");
    }
    void on_end_of_input() override {
        if (!name_.empty()) tell(name_ + " is gone\n");
        close();
    }
    // A slow reader misses lines; the others do not wait, and no memory fills.
    void tell(std::string_view line) {
        for (Guest* guest : room_)
            if (guest != this && guest->writable()) guest->write(line);
    }

    Movable on_hand_over(std::string& state) override {
        state = name_;
        return Movable::now;
    }
    void on_drain() override { close(); }  // the server stops

    Room& room_;
    std::string name_;
};

class Chat final : public drover::Module {
  public:
    std::string_view name() const noexcept override { return "chat"; }
    const drover::OptionTable& options() const override { return options_; }
    void start(drover::Services& services, const drover::ImageNode&) override { services_ = &services; }
    void connection(drover::Accepted accepted) override { adopt(std::move(accepted), ""); }
    void adopt(drover::Accepted accepted, std::string_view name) override {
        drover::open_connection<Guest>(*services_, std::move(accepted), room_, name);
    }

  private:
    drover::OptionTable options_{"A room where everybody hears everybody."};
    drover::Services* services_ = nullptr;
    Room room_;
};

}  // namespace

int main(int argc, char** argv) {
    constexpr drover::ModuleFactory modules[] = {drover::make_module<Chat>};
    return drover::run_command_line(argc, argv, modules);
}
