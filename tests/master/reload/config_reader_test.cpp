#include "master/reload/config_reader.h"

#include "conf/reader/privileged_values.h"
#include "conf/settings.h"
#include "core/memory/shared_memory.h"
#include "core/protocol/message.h"
#include "core/protocol/packet.h"
#include "tests/support/in_child.h"
#include "tests/support/run_until.h"
#include "tests/support/temporary_folder.h"

#include <array>
#include <csignal>
#include <cstring>
#include <fstream>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <grp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace drover;
using namespace drover::test;

namespace {

struct ForgingOptions {
    std::string_view log;
    static const Options<ForgingOptions>& options() {
        static const auto table = Options<ForgingOptions>("Forges.").text(
            "log", &ForgingOptions::log, {.master_file = true}, Apply::hot, "A log.");
        return table;
    }
};

// What module code that looks for the config reader's channel can do with it.
void send_on_channel(MessageType type, std::string_view text) {
    const MessageHeader header{.type = static_cast<std::uint16_t>(type),
                               .payload_size = static_cast<std::uint32_t>(text.size())};
    std::vector<char> bytes(sizeof header + text.size());
    std::memcpy(bytes.data(), &header, sizeof header);
    std::memcpy(bytes.data() + sizeof header, text.data(), text.size());
    for (int fd = 3; fd < 256; ++fd) {
        int kind = 0;
        socklen_t size = sizeof kind;
        const bool found = ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &kind, &size) == 0 && kind == SOCK_SEQPACKET;
        if (found) ::send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT);
    }
}

struct HonestModule : Module {
    std::string_view name() const noexcept override { return "forging"; }
    const OptionTable& options() const override { return ForgingOptions::options(); }
    void start(Services&, const ImageNode&) override {}
    void connection(Accepted) override {}
};

struct ForgingModule final : HonestModule {
    void check(const ImageNode&, Complaints&) const override {
        send_on_channel(MessageType::config_rights, "module 7 forging\nplace 1 x\nfile 13 /etc/cron.d/x\n");
    }
};

struct ReadRun {
    EventLoop loop;
    RunClock clock{loop};
    std::optional<ConfigReader::Verdict> verdict;
    unsigned verdicts = 0;
    std::unique_ptr<ConfigReader> reader;
    SignalWatch child_exit{loop, SIGCHLD, SignalWatch::Handler::to<&ReadRun::on_child_exit>(this)};

    void on_child_exit(int) {
        while (const auto reaped = reap_any())
            if (reaped->pid == reader->pid()) reader->on_exit(reaped->report);
    }
    void on_verdict(ConfigReader::Verdict& given) {
        verdict = std::move(given);
        ++verdicts;
    }

    ReadRun(const TemporaryFolder& folder, std::span<const ModuleFactory> modules,
            const std::string& module) {
        std::ofstream(folder.file("drover.toml")) << "[pool.main]\nmodules = [\"forging\"]\n" << module;
        reader = std::make_unique<ConfigReader>(clock, folder.file("drover.toml"), modules, -1,
                                                ConfigReader::VerdictHandler::to<&ReadRun::on_verdict>(this));
        REQUIRE(run_until(loop, [this] { return verdict.has_value(); }));
    }
};

constexpr ModuleFactory honest[] = {make_module<HonestModule>};
constexpr ModuleFactory forging[] = {make_module<ForgingModule>};

}  // namespace

TEST_CASE("config reader: what module code sends as the file's rights is refused") {
    const TemporaryFolder folder;
    const std::string module = "[module.forging]\nlog = \"a.log\"\n";
    const ReadRun good(folder, honest, module);
    REQUIRE(good.verdict->findings.empty());
    const Settings settings = Settings::load(*good.verdict->image);
    REQUIRE(settings.files.size() == 1);
    CHECK(settings.files.front().path == folder.file("a.log"));

    const ReadRun forged(folder, forging, module);
    REQUIRE(forged.verdict->findings.size() == 1);
    CHECK_MESSAGE(
        forged.verdict->findings.front().find("cannot be trusted: it asked for more") != std::string::npos,
        forged.verdict->findings.front());
    CHECK_FALSE(forged.verdict->image);
}

TEST_CASE("config reader: large tables of modules are no matter, many names of files neither") {
    const TemporaryFolder folder;
    std::string module = "[module.forging]\nlog = \"a.log\"\n[module.other]\n";
    for (int i = 0; i < 15000; ++i)
        module += "text" + std::to_string(i) + "_log = \"" + std::string(40, 'x') + "\"\n";
    const ReadRun run(folder, honest, module);
    REQUIRE(run.verdict->findings.size() == 1);
    CHECK_MESSAGE(run.verdict->findings.front().find("unknown module \"other\"") != std::string::npos,
                  run.verdict->findings.front());
}

TEST_CASE("config reader: a user who has all his descriptors on their way gets an image all the same") {
    in_child([] {
        // A user of its own, so that no other process is short of them.
        if (::getuid() == 0 &&
            (::setgroups(0, nullptr) != 0 || ::setuid(static_cast<uid_t>(20'000 + ::getpid() % 40'000)) != 0))
            return 1;
        const rlimit limit{.rlim_cur = 64, .rlim_max = 64};
        if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 2;
        auto [sender, receiver] = Channel::make_pair();
        PacketSent sent = PacketSent::sent;
        while (sent == PacketSent::sent)
            sent = send_packet(sender.get(), std::as_bytes(std::span("x")), {}, std::array{sender.get()});
        if (sent != PacketSent::busy) return 3;
        const TemporaryFolder folder;
        const ReadRun run(folder, honest, "");
        return run.verdict->findings.empty() && run.verdict->image ? 0 : 4;
    });
}

TEST_CASE("config reader: one that was given up and ends at last gives no second verdict") {
    const TemporaryFolder folder;
    const ReadRun run(folder, honest, "");
    run.reader->on_exit({.signal = SIGKILL});
    CHECK(run.verdicts == 1);
}
