// resp speaks enough of the Redis protocol for redis-cli and redis-benchmark: PING, ECHO, GET and SET. What
// is stored lives in the worker and ends with it; a reload of max_keys alone is hot, and keeps it. The
// protocol: https://redis.io/docs/latest/develop/reference/protocol-spec/
#include <algorithm>
#include <cctype>
#include <charconv>
#include <map>

#include <drover/cli.h>
#include <drover/connection.h>
#include <drover/counter.h>
#include <drover/counter_row.h>
#include <drover/module.h>

namespace {

struct RespOptions {
    std::size_t max_keys = 0;

    static const drover::Options<RespOptions>& options() {
        static const auto table =
            drover::Options<RespOptions>("Keys and values in memory.")
                .integer("max_keys", &RespOptions::max_keys, {.fallback = 100'000, .min = 1},
                         drover::Apply::hot, "Keys that are stored at most; SET of another one is refused.");
        return table;
    }
};

// What the connections of a worker share.
struct Store {
    RespOptions options;
    drover::Counter commands;
    std::map<std::string, std::string, std::less<>> values;
};

using Words = std::vector<std::string_view>;

// A command at the start of `input`: an array of bulk strings, or a line of words.
struct Command {
    enum class State : std::uint8_t { complete, incomplete, broken };

    State take(std::string_view input) {
        rest = input;
        words.clear();
        std::string_view line;
        if (!take_line(line)) return input.size() > max_line ? State::broken : State::incomplete;
        if (!line.starts_with('*')) return split(line);
        std::size_t count = 0;
        if (!read_number(line, count) || count > max_words) return State::broken;
        for (; count > 0; --count) {
            std::size_t size = 0;
            if (!take_line(line)) return State::incomplete;
            if (!line.starts_with('$') || !read_number(line, size) || size > max_size) return State::broken;
            if (rest.size() < size + 2) return State::incomplete;
            words.push_back(rest.substr(0, size));
            rest.remove_prefix(size + 2);
        }
        return State::complete;
    }

    Words words;
    std::string_view rest;

  private:
    // Together they stay below what a connection keeps of its input.
    static constexpr std::size_t max_words = 8;
    static constexpr std::size_t max_size = 100'000;
    static constexpr std::size_t max_line = 1000;

    bool take_line(std::string_view& line) {
        const std::size_t end = rest.find('\n');
        if (end == rest.npos) return false;
        line = rest.substr(0, end);
        if (line.ends_with('\r')) line.remove_suffix(1);
        rest.remove_prefix(end + 1);
        return true;
    }
    // Of a line such as "$5".
    static bool read_number(std::string_view line, std::size_t& number) {
        const auto [end, error] = std::from_chars(line.data() + 1, line.data() + line.size(), number);
        return error == std::errc() && end == line.data() + line.size();
    }
    State split(std::string_view line) {
        while (!line.empty()) {
            const std::string_view word = line.substr(0, line.find(' '));
            if (!word.empty()) words.push_back(word);
            line.remove_prefix(std::min(word.size() + 1, line.size()));
        }
        return State::complete;
    }
};

class Session final : public drover::Connection {
  public:
    Session(drover::Services& services, drover::Accepted accepted, Store& store)
        : Connection(services, std::move(accepted)), store_(store) {}

  private:
    std::size_t on_input(std::string_view input) override {
        Command command;
        std::string_view left = input;
        while (!left.empty() && writable()) {
            const Command::State state = command.take(left);
            if (state == Command::State::incomplete) break;
            if (state == Command::State::broken) {
                write("-ERR Protocol error\r\n");
                close();
                return input.size();
            }
            left = command.rest;
            if (!command.words.empty()) answer(command.words);
        }
        return input.size() - left.size();
    }

    void answer(const Words& words) {
        const auto is = [&words](std::string_view name, std::size_t count) {
            const auto same = [](char sent, char c) {
                return std::toupper(static_cast<unsigned char>(sent)) == c;
            };
            return words.size() == count && std::ranges::equal(words[0], name, same);
        };
        store_.commands.add();
        if (is("PING", 1)) return write("+PONG\r\n");
        if (is("PING", 2) || is("ECHO", 2)) return write_bulk(words[1]);
        if (is("GET", 2)) return get(words[1]);
        if (is("SET", 3)) return set(words[1], words[2]);
        write("-ERR unknown command or wrong number of arguments\r\n");
    }
    void get(std::string_view key) {
        const auto found = store_.values.find(key);
        if (found == store_.values.end()) return write("$-1\r\n");
        write_bulk(found->second);
    }
    void set(std::string_view key, std::string_view value) {
        const auto found = store_.values.find(key);
        if (found != store_.values.end())
            found->second = value;
        else if (store_.values.size() < store_.options.max_keys)
            store_.values.emplace(key, value);
        else
            return write("-OOM max_keys is reached\r\n");
        write("+OK\r\n");
    }
    void write_bulk(std::string_view bytes) {
        write("$" + std::to_string(bytes.size()) + "\r\n");
        write(bytes);
        write("\r\n");
    }

    Movable on_hand_over(std::string&) override { return Movable::now; }
    void on_drain() override { close(); }  // the server stops, and every command that came is answered

    Store& store_;
};

class Resp final : public drover::Module {
  public:
    std::string_view name() const noexcept override { return "resp"; }
    const drover::OptionTable& options() const override { return RespOptions::options(); }
    std::vector<drover::CounterDeclaration> counters() const override {
        return {{.name = "resp_commands_total", .unit = "commands", .help = "Commands that were answered."}};
    }
    void start(drover::Services& services, const drover::ImageNode& options) override {
        services_ = &services;
        store_.options = RespOptions::options().load(options);
        store_.commands = services.counters.counter("resp_commands_total");
    }
    void connection(drover::Accepted accepted) override {
        drover::open_connection<Session>(*services_, std::move(accepted), store_);
    }
    void adopt(drover::Accepted accepted, std::string_view) override { connection(std::move(accepted)); }

    using Next = std::shared_ptr<const drover::Configuration>;
    void prepare(const Next&, const drover::ImageNode& options) override {
        next_ = RespOptions::options().load(options);
    }
    void commit() noexcept override { store_.options = next_; }

  private:
    drover::Services* services_ = nullptr;
    Store store_;
    RespOptions next_;
};

}  // namespace

int main(int argc, char** argv) {
    constexpr drover::ModuleFactory modules[] = {drover::make_module<Resp>};
    return drover::run_command_line(argc, argv, modules);
}
