// drover_trouble is the server with three modules more: one does on request what no module should, since
// tests need workers and config readers that crash, hang, lie and talk; another counts; and one attacks
// (tests/hostile/). It is also what embedding
// looks like: a list of modules and one call.
#include "conf/reader/checker.h"
#include "conf/reader/toml_reader.h"
#include "core/log/log.h"
#include "core/protocol/message.h"
#include "core/protocol/packet.h"
#include "master/cli/cli.h"
#include "modules/all_modules.h"
#include "tests/hostile/hostile_module.h"
#include "tests/support/tally_module.h"
#include "worker/datagram/datagram.h"
#include "worker/module/blocking_pool.h"
#include "worker/module/module.h"
#include "worker/module/module_declarations.h"
#include "worker/stream/connection.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <linux/keyctl.h>
#include <poll.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace drover {
namespace {

struct TroubleOptions {
    std::string_view in_check;
    std::string_view in_start;
    std::string_view to_prepare;
    std::string_view in_prepare;
    std::string_view in_commit;
    std::string_view in_connection;
    std::string_view later;
    std::string_view in_end;
    std::int64_t after_ms = 0;

    static const Options<TroubleOptions>& options();
};

const Options<TroubleOptions>& TroubleOptions::options() {
    static const auto table =
        Options<TroubleOptions>("Does what no module should.")
            .text("in_check", &TroubleOptions::in_check, {}, Apply::fresh, "What to do in the config reader.")
            .text("in_start", &TroubleOptions::in_start, {}, Apply::fresh,
                  "What to do in a worker that starts.")
            .text("to_prepare", &TroubleOptions::to_prepare, {}, Apply::hot,
                  "What to do when a worker prepares a hot reload.")
            .text("in_prepare", &TroubleOptions::in_prepare, {}, Apply::hot,
                  "What to do once a worker has said that it has prepared a hot reload.")
            .text("in_commit", &TroubleOptions::in_commit, {}, Apply::hot,
                  "What to do when a hot reload puts this in place.")
            .text("in_connection", &TroubleOptions::in_connection, {}, Apply::hot,
                  "What to do when a connection is accepted.")
            .text("later", &TroubleOptions::later, {}, Apply::hot, "What to do in a worker that serves.")
            .text("in_end", &TroubleOptions::in_end, {}, Apply::hot,
                  "What to do in a worker's last moment, when its module is destroyed.")
            .duration("after", &TroubleOptions::after_ms, {.fallback = 1000, .min = 1}, Apply::hot,
                      "When, from the start or the reload.");
    return table;
}

// Writes into every channel and report pipe that this process holds.
void send_garbage() {
    const std::string garbage(300, '\xA5');
    for (int fd = 3; fd < 1024; ++fd) {
        int type = 0;
        socklen_t size = sizeof type;
        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0) {
            if (type == SOCK_SEQPACKET)
                ::send(fd, garbage.data(), garbage.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        }
    }
}

// The first one of this process: the master's.
int find_channel() {
    int channel = 3;
    int type = 0;
    socklen_t size = sizeof type;
    while (getsockopt(channel, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_SEQPACKET)
        ++channel;
    return channel;
}

// Asks the master for rows over and over, then something else.
void ask_for_rows(int channel) {
    const auto ask = [channel](MessageType type) {
        MessageHeader header;
        header.type = static_cast<std::uint16_t>(type);
        header.payload_size = sizeof(QuestionMessage);
        const QuestionMessage question;
        send_packet(channel, std::as_bytes(std::span(&header, 1)), std::as_bytes(std::span(&question, 1)),
                    {});
    };
    for (int i = 0; i < 50; ++i)
        ask(MessageType::counter_rows_wanted);
    ask(MessageType::status_wanted);
}

// How many of those answers come before the last.
std::size_t count_row_answers(int channel) {
    std::vector<std::byte> buffer(64 * 1024);
    std::size_t answers = 0;
    for (;;) {
        pollfd waiting{channel, POLLIN, 0};
        ::poll(&waiting, 1, -1);
        const ReceivedPacket packet = receive_packet(channel, buffer);
        MessageHeader header;
        std::memcpy(&header, buffer.data(), sizeof header);
        if (packet.result == PacketReceived::end_of_file) return answers;
        if (header.type == static_cast<std::uint16_t>(MessageType::status_published)) return answers;
        if (header.type == static_cast<std::uint16_t>(MessageType::counter_rows)) ++answers;
    }
}

// In the config reader: what it is to fill. The running image is sealed.
int find_image_memory() {
    int memory = 3;
    while (::fcntl(memory, F_GET_SEALS) != 0)
        ++memory;
    return memory;
}

// In the config reader: says that an image of its own making is the file's.
void forge_image() {
    const int channel = find_channel();
    const Document document = parse_toml(
        "[master]\nlog_file = \"forged.log\"\n[pool.main]\nmodules = [\"echo\"]\n", "/forged.toml");
    const int memory = find_image_memory();
    publish_image(check_document(document, declare_modules(all_modules()), nullptr).image, memory);
    MessageHeader header;
    header.type = static_cast<std::uint16_t>(MessageType::config_image);
    header.payload_size = sizeof(ConfigImageMessage);
    const ConfigImageMessage message{static_cast<std::uint32_t>(Change::fresh), 0};
    send_packet(channel, std::as_bytes(std::span(&header, 1)), std::as_bytes(std::span(&message, 1)), {});
    _exit(0);
}

// A grandchild that nothing ties to this process but its descent, with all that this process has open. FILE
// is there when it is.
void leave_daemon(const std::string& path) {
    const pid_t child = ::fork();
    if (child != 0) {
        ::waitpid(child, nullptr, 0);
        return;
    }
    ::setsid();
    if (::fork() != 0) ::_exit(0);
    sigset_t all;
    sigfillset(&all);
    ::sigprocmask(SIG_BLOCK, &all, nullptr);
    std::ofstream(path + ".next") << ::getpid();
    std::rename((path + ".next").c_str(), path.c_str());
    for (;;)
        ::pause();
}

// "stop FILE": whoever removes the file stops, so that of several processes one does, once. "DEED while FILE"
// does it as long as the file is there.
void act(std::string_view what) {
    if (const std::size_t at = what.find(" while "); at != std::string_view::npos) {
        if (::access(std::string(what.substr(at + 7)).c_str(), F_OK) == 0) act(what.substr(0, at));
        return;
    }
    if (what == "term") std::raise(SIGTERM);
    if (what.starts_with("spin ")) {
        // Milliseconds of processor time.
        const auto end = std::clock() + std::stol(std::string(what.substr(5))) * (CLOCKS_PER_SEC / 1000);
        while (std::clock() < end) {
        }
    }
    if (what.starts_with("look for ")) static_cast<void>(::access(std::string(what.substr(9)).c_str(), F_OK));
    if (what.starts_with("stop ") && ::unlink(std::string(what.substr(5)).c_str()) == 0) std::raise(SIGSTOP);
    if (what.starts_with("daemon ")) leave_daemon(std::string(what.substr(7)));
    if (what.starts_with("throw ")) throw std::runtime_error(std::string(what.substr(6)));
    if (what == "lack") throw std::system_error(EMFILE, std::generic_category(), "trouble");
    if (what == "throw") throw std::runtime_error("trouble was asked for");
    if (what == "trace") {
        ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
        std::raise(SIGUSR1);
    }
    if (what == "crash") std::raise(SIGKILL);
    if (what == "abort") std::abort();
    if (what == "exit") _exit(0);
    if (what == "forge") forge_image();
    if (what == "garbage") send_garbage();
    if (what == "memory") {
        std::vector<std::string> hoard;
        for (;;)
            hoard.emplace_back(std::size_t{16} << 20, 'x');
    }
    if (what.starts_with("obey ")) {
        // Once: who reads them takes them away.
        const std::string path(what.substr(5));
        std::ifstream orders(path);
        std::string order;
        const bool any = static_cast<bool>(std::getline(orders, order));
        ::unlink(path.c_str());
        if (any) act(order);
    }
    if (what == "hang") {
        for (;;)
            pause();
    }
}

// Each line is a command: "log TEXT" logs it, "env NAME" answers a variable, "key NAME" whether the session
// keyring has such a key, "rows FILE" asks the master for rows, takes FILE away and reads no answer before
// there is another, "eat N" holds N MiB more, "block FILE" answers when FILE is gone, "throw after FILE"
// throws then, outside of hooks, anything else is acted upon.
class TroubleConnection final : public Connection {
  public:
    TroubleConnection(Services& services, Accepted accepted) : Connection(services, std::move(accepted)) {}

  private:
    std::size_t on_input(std::string_view input) override {
        std::size_t consumed = 0;
        for (std::size_t end = input.find('\n'); end != std::string_view::npos;
             end = input.find('\n', consumed)) {
            obey(input.substr(consumed, end - consumed));
            consumed = end + 1;
        }
        return consumed;
    }

    void on_drain() override {
        if (!blocked_) close();
    }

    // `done` comes when the file is gone; the loop goes on meanwhile.
    void block_while_there_is(const std::string& path, std::function<void()> done) {
        blocked_ = services().blocking.run(
            [path] {
                while (::access(path.c_str(), F_OK) == 0)
                    ::sched_yield();
            },
            [done = std::move(done)](const std::exception_ptr&) { done(); });
        if (!blocked_) write("refused\n");
    }
    void on_unblocked() {
        blocked_ = false;
        write("unblocked\n");
        if (draining()) close();
    }

    bool blocked_ = false;

    void obey(std::string_view line) {
        if (line.starts_with("log ")) {
            services().log.info(line.substr(4));
        } else if (line.starts_with("env ")) {
            const char* value = std::getenv(std::string(line.substr(4)).c_str());
            write(value == nullptr ? "unset" : value);
        } else if (line.starts_with("key ")) {
            const std::string name(line.substr(4));
            const long key =
                ::syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", name.c_str(), 0);
            write(key < 0 ? "none" : "found");
        } else if (line.starts_with("rows ")) {
            const int channel = find_channel();
            ask_for_rows(channel);
            const std::string file(line.substr(5));
            ::unlink(file.c_str());
            while (::access(file.c_str(), F_OK) != 0)
                ::poll(nullptr, 0, 1);
            write(std::to_string(count_row_answers(channel)) + " answers\n");
        } else if (line.starts_with("block ")) {
            return block_while_there_is(std::string(line.substr(6)), [this] { on_unblocked(); });
        } else if (line.starts_with("throw after ")) {
            block_while_there_is(std::string(line.substr(12)), [] { act("throw"); });
        } else if (line.starts_with("eat ")) {
            static std::vector<std::string> hoard;
            hoard.emplace_back(std::stoul(std::string(line.substr(4))) << 20, 'x');
        } else {
            act(line);
        }
        write("ok\n");
    }
};

class TroubleModule final : public Module {
  public:
    ~TroubleModule() override {
        if (services_ != nullptr) act(options_.in_end);
    }
    std::string_view name() const noexcept override { return "trouble"; }
    const OptionTable& options() const override { return TroubleOptions::options(); }
    Takes takes() const noexcept override { return {.connections = true, .datagrams = true}; }
    void check(const ImageNode& options, Complaints&) const override {
        act(TroubleOptions::options().load(options).in_check);
    }
    void start(Services& services, const ImageNode& options) override {
        services_ = &services;
        later_ = std::make_unique<Timer>(services.loop, Timer::Handler::to<&TroubleModule::on_later>(this));
        prepared_ =
            std::make_unique<Timer>(services.loop, Timer::Handler::to<&TroubleModule::on_prepared>(this));
        answer_ = std::make_unique<Timer>(services.loop, Timer::Handler::to<&TroubleModule::on_answer>(this));
        options_ = TroubleOptions::options().load(options);
        act(options_.in_start);
        set_later();
    }
    void prepare(const std::shared_ptr<const Configuration>&, const ImageNode& options) override {
        next_ = TroubleOptions::options().load(options);
        act(next_.to_prepare);
        if (!next_.in_prepare.empty()) prepared_->start_once(std::chrono::milliseconds(0));
    }
    void commit() noexcept override {
        options_ = next_;
        act(options_.in_commit);
        set_later();
    }
    void connection(Accepted accepted) override {
        act(options_.in_connection);
        open_connection<TroubleConnection>(*services_, std::move(accepted));
    }
    // "keep" is answered when the worker leaves, a moment later, "hold" never; anything else is acted upon.
    void datagram(const Datagram& datagram) override {
        if (datagram.payload() == "hold") return held_.push_back(datagram.return_address());
        if (datagram.payload() == "keep") return kept_.push_back(datagram.return_address());
        act(datagram.payload());
        datagram.reply("ok");
    }
    void drain() override { answer_->start_once(std::chrono::milliseconds(100)); }
    void stop() noexcept override { answer_->stop(); }

  private:
    void set_later() {
        later_->stop();
        if (!options_.later.empty()) later_->start_once(std::chrono::milliseconds(options_.after_ms));
    }
    void on_later() { act(options_.later); }
    void on_prepared() { act(next_.in_prepare); }
    void on_answer() {
        for (const ReturnAddress& to : kept_)
            to.reply("kept until now");
        kept_.clear();
    }

    Services* services_ = nullptr;
    TroubleOptions options_;
    TroubleOptions next_;
    std::unique_ptr<Timer> later_;
    std::unique_ptr<Timer> prepared_;
    std::unique_ptr<Timer> answer_;
    std::vector<ReturnAddress> kept_;
    std::vector<ReturnAddress> held_;
};

}  // namespace
}  // namespace drover

int main(int argc, char** argv) {
    std::vector<drover::ModuleFactory> modules(drover::all_modules().begin(), drover::all_modules().end());
    modules.push_back(drover::make_module<drover::TroubleModule>);
    modules.push_back(drover::make_module<drover::TallyModule>);
    modules.push_back(drover::make_module<drover::hostile::HostileModule>);
    return drover::run_command_line(argc, argv, modules);
}
