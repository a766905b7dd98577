// WorkerFixture is a worker's inside without a master: a loop, services, started modules, and clients that
// are connected to them by real TCP sockets. Everything happens in the test's own thread: whatever waits,
// runs the loop. Runs in: tests.
#pragma once

#include "conf/image/image.h"
#include "conf/reader/checker.h"
#include "conf/reader/toml_reader.h"
#include "conf/settings.h"
#include "core/base/system_error.h"
#include "core/counters/counter_table.h"
#include "core/loop/mailbox.h"
#include "core/protocol/channel.h"
#include "core/protocol/status_json.h"
#include "tests/support/deadline.h"
#include "worker/module/blocking_pool.h"
#include "worker/module/configuration.h"
#include "worker/module/master_view.h"
#include "worker/module/module.h"
#include "worker/module/module_declarations.h"
#include "worker/module/module_files.h"
#include "worker/module/module_host.h"
#include "worker/module/services.h"
#include "worker/stream/connection.h"
#include "worker/stream/connection_list.h"

#include <array>
#include <chrono>
#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

namespace drover::test {

// The two ends of one TCP connection over loopback: first the client's, then the worker's; both non-blocking.
// `receive_buffer` is the client's, in bytes; 0: the system's.
inline std::array<UniqueFd, 2> make_tcp_pair(int receive_buffer = 0) {
    UniqueFd listener(check_call(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    check_call(::bind(listener.get(), generic, size), "bind");
    check_call(::listen(listener.get(), 1), "listen");
    check_call(::getsockname(listener.get(), generic, &size), "getsockname");
    UniqueFd client(check_call(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
    if (receive_buffer != 0)
        check_call(::setsockopt(client.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer),
                   "setsockopt");
    check_call(::connect(client.get(), generic, size), "connect");
    UniqueFd accepted(
        check_call(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC), "accept"));
    check_call(::fcntl(client.get(), F_SETFL, O_NONBLOCK), "fcntl");
    return {std::move(client), std::move(accepted)};
}

// Answers a worker's questions for the status, as the master does; of events nobody tells.
class FixtureMaster {
  public:
    FixtureMaster(EventLoop& loop, const CounterReader& counters) : loop_(loop), counters_(counters) {
        auto [ours, theirs] = Channel::make_pair();
        master_ = std::make_unique<Channel>(loop, std::move(ours),
                                            Channel::MessageHandler::to<&FixtureMaster::on_question>(this),
                                            Channel::ClosedHandler());
        worker_ = std::make_unique<Channel>(loop, std::move(theirs),
                                            Channel::MessageHandler::to<&FixtureMaster::on_answer>(this),
                                            Channel::ClosedHandler());
        view_ = std::make_unique<MasterView>(loop, *worker_);
    }
    MasterView& view() { return *view_; }

  private:
    void on_question(Message& message) {
        const std::string text = status_json(counters_, loop_.now_ms());
        const UniqueFd fd = create_memfd("fixture-status", text.size(), true);
        std::memcpy(map_shared_writable(fd.get(), 0, text.size()).data(), text.data(), text.size());
        master_->send(MessageType::status_text, message.as<QuestionMessage>(), std::array{fd.get()});
    }
    void on_answer(Message& message) { view_->take_status(message); }

    EventLoop& loop_;
    const CounterReader& counters_;
    std::unique_ptr<Channel> master_;
    std::unique_ptr<Channel> worker_;
    std::unique_ptr<MasterView> view_;
};

class WorkerFixture {
  public:
    // `toml` says what stands beside the pool: the tables of the modules.
    WorkerFixture(std::span<const ModuleFactory> factories, const std::string& module,
                  const std::string& toml)
        : module_name_(module),
          declarations_(declare_modules(factories)),
          image_bytes_(make_image(declarations_, module, toml)),
          configuration_(std::make_shared<const Configuration>(1, Image::view(image_bytes_), "main")),
          counters_(make_row()),
          connections_(loop_),
          services_{loop_,     log_,   deadlines_, connections_,  mailbox_,
                    blocking_, files_, counters_,  configuration_},
          modules_(factories, configuration_->pool().modules) {
        services_.master = &master_.view();
        reopen_files();
        modules_.start(services_, configuration_->image().root().find("module"));
    }
    ~WorkerFixture() {
        connections_.abort_all();
        modules_.stop();
    }
    WorkerFixture(const WorkerFixture&) = delete;
    WorkerFixture& operator=(const WorkerFixture&) = delete;

    // A new client of the module.
    UniqueFd connect(int receive_buffer = 0) {
        auto [client, accepted] = make_tcp_pair(receive_buffer);
        modules_.find(module_name_)->connection({std::move(accepted), 0});
        return std::move(client);
    }

    void drain() {
        modules_.drain(log_);
        connections_.drain();
    }
    // As if that much time had passed, as far as time limits go.
    void pass(std::chrono::milliseconds time) {
        deadlines_.advance(static_cast<std::uint32_t>(time / DeadlineWheel::tick));
    }

    // Runs the loop until `done`; false when it is not done in time.
    template <class Predicate>
    bool run_until(Predicate done) {
        const Deadline deadline;
        while (!done()) {
            if (deadline.passed()) return false;
            loop_.run_once(std::chrono::milliseconds(10));
        }
        return true;
    }
    // Handles all that has arrived.
    void settle() {
        for (int round = 0; round < 3; ++round)
            loop_.run_once(std::chrono::milliseconds(1));
    }

    // As the master does.
    void reopen_files() {
        for (const FileSettings& file : configuration_->settings().files) {
            const int flags = O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_CLOEXEC;
            files_.put(file.path, UniqueFd(check_call(::open(file.path.c_str(), flags, 0640), "open")));
        }
    }

    Services& services() { return services_; }
    const Services& services() const { return services_; }
    Module* module() { return modules_.find(module_name_); }
    const CounterReader& counters() const { return reader_; }
    const CounterTable& table() const { return table_; }
    std::size_t connection_count() const { return connections_.size(); }
    // Of a name whatever its labels, or of one with labels: name{label="value"}.
    std::uint64_t count(std::string_view counter) const {
        std::uint64_t sum = 0;
        for (const CounterReader::Sum& each : reader_.sums())
            if (each.name == counter || each.text() == counter) sum += each.value;
        return sum;
    }

  private:
    static std::vector<std::byte> make_image(const std::vector<ModuleDeclaration>& declarations,
                                             const std::string& module, const std::string& toml) {
        const std::string pool = "[pool.main]\nworkers = 1\nmodules = [\"" + module +
                                 "\"]\n[[pool.main.listen]]\naddress = \"127.0.0.1:0\"\nmodule = \"" +
                                 module + "\"\n";
        CheckedConfiguration checked =
            check_document(parse_toml(pool + toml, "/test.toml"), declarations, nullptr);
        if (!checked.findings.empty()) throw std::runtime_error(checked.findings.front());
        return std::move(checked.image);
    }
    CounterRow make_row() {
        table_.declare(1, declared_counters(configuration_->image()));
        const std::optional<std::uint32_t> row =
            table_.take_row({.instance = 1, .generation = 1, .pool = "main", .slot = 0});
        return CounterRow(table_.read_only_fd(), table_.row_fd(row.value()), row.value(), 1);
    }

    std::string module_name_;
    std::vector<ModuleDeclaration> declarations_;
    std::vector<std::byte> image_bytes_;
    std::shared_ptr<const Configuration> configuration_;
    CounterTable table_;
    CounterRow counters_;
    CounterReader reader_{table_.read_only_fd(), table_.row_source()};
    EventLoop loop_;
    Log log_{LogIdentity{.role = "worker", .pool = "main", .slot = 0}};
    DeadlineWheel deadlines_{loop_};
    ConnectionList connections_;
    Mailbox mailbox_{loop_};
    BlockingPool blocking_{mailbox_, {.threads = 2}};
    ModuleFiles files_;
    FixtureMaster master_{loop_, reader_};
    Services services_;
    ModuleHost modules_;
};

// A client's end: what it has received, and how the connection ended.
class FixtureClient {
  public:
    explicit FixtureClient(WorkerFixture& worker, int receive_buffer = 0)
        : worker_(worker), socket_(worker.connect(receive_buffer)) {}

    int fd() const { return socket_.get(); }
    const std::string& received() const { return received_; }
    bool ended() const { return ended_; }  // by the peer, in order
    bool reset() const { return reset_; }
    void close() { socket_.reset(); }
    void shut_down_sending() { ::shutdown(socket_.get(), SHUT_WR); }

    // All of it; the loop runs while the socket takes no more. False when that lasts too long.
    bool send(std::string_view bytes) {
        return worker_.run_until([&] { return send_some(bytes) && bytes.empty(); });
    }
    // What the socket takes now.
    bool send_some(std::string_view& bytes) {
        const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent >= 0) bytes.remove_prefix(static_cast<std::size_t>(sent));
        return sent >= 0 || errno == EAGAIN;
    }
    void read() {
        std::array<char, 65536> buffer{};
        for (;;) {
            const ssize_t size = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
            if (size > 0) {
                received_.append(buffer.data(), static_cast<std::size_t>(size));
                continue;
            }
            ended_ = ended_ || size == 0;
            reset_ = reset_ || (size < 0 && errno == ECONNRESET);
            return;
        }
    }
    template <class Predicate>
    bool read_until(Predicate done) {
        return worker_.run_until([&] {
            read();
            return done();
        });
    }
    bool read_bytes(std::size_t size) {
        return read_until([&] { return received_.size() >= size; });
    }
    bool read_to_end() {
        return read_until([&] { return ended_ || reset_; });
    }
    std::string take_received() { return std::exchange(received_, {}); }

  private:
    WorkerFixture& worker_;
    UniqueFd socket_;
    std::string received_;
    bool ended_ = false;
    bool reset_ = false;
};

}  // namespace drover::test
