#include "master/reload/config_reader.h"

#include "conf/reader/privileged_values.h"
#include "core/base/exit_code.h"
#include "core/base/visible_text.h"
#include "core/memory/shared_memory.h"
#include "master/reload/reader_child.h"

#include <algorithm>
#include <csignal>
#include <stdexcept>

namespace drover {

namespace {

constexpr std::size_t max_libraries = 256;
// More than the largest file can name.
constexpr std::size_t max_rights = std::size_t{8} * max_config_bytes;

}  // namespace

ConfigReader::ConfigReader(const RunClock& clock, const std::string& config_path,
                           std::span<const ModuleFactory> modules, int running_image_fd,
                           VerdictHandler on_verdict, bool trial)
    : on_verdict_(on_verdict),
      deadline_timer_(clock, Timer::Handler::to<&ConfigReader::on_deadline>(this)),
      end_timer_(clock, Timer::Handler::to<&ConfigReader::on_end_time>(this)) {
    EventLoop& loop = clock.loop();
    auto [ours, theirs] = Channel::make_pair();
    image_memory_ = create_image_memory();
    const ReaderInheritance inheritance{
        theirs.get(), image_memory_.get(), running_image_fd, config_path, modules, trial};
    std::vector<int> keep{theirs.get(), image_memory_.get()};
    if (running_image_fd >= 0) keep.push_back(running_image_fd);
    process_ =
        spawn({.loop = &loop, .keep_fds = keep}, [&inheritance] { return run_config_reader(inheritance); });
    channel_ = std::make_unique<Channel>(loop, std::move(ours),
                                         Channel::MessageHandler::to<&ConfigReader::on_message>(this),
                                         Channel::ClosedHandler::to<&ConfigReader::on_channel_closed>(this));
    deadline_timer_.start_once(deadline);
}

ConfigReader::~ConfigReader() {
    if (process_ && !reaped_) cancel();
}

void ConfigReader::on_message(Message& message) {
    switch (message.type) {
        case MessageType::config_rights:
            add_rights(message.text());
            return;
        case MessageType::config_loading:
            loading_ = message.text();
            return;
        case MessageType::config_library:
            if (verdict_.libraries.size() < max_libraries)
                verdict_.libraries.push_back(std::move(message.fds[0]));
            return;
        case MessageType::config_error:
            if (verdict_.findings.size() < max_lines) verdict_.findings.emplace_back(message.text());
            return;
        case MessageType::config_change:
            if (verdict_.changes.size() < max_lines) verdict_.changes.emplace_back(message.text());
            return;
        case MessageType::config_image: {
            const std::uint32_t change = message.as<ConfigImageMessage>().change;
            if (change > static_cast<std::uint32_t>(Change::restart)) {
                broken_ = "it named a change that does not exist";
                return;
            }
            verdict_.change = static_cast<Change>(change);
            done_ = true;
            return;
        }
        default:
            broken_ = "it sent a message that is not a config reader's";
    }
}

// An empty text ends them; what comes after it is a module's doing.
void ConfigReader::add_rights(std::string_view text) {
    if (rights_complete_) {
        broken_ = "it asked for more after it had said what the file names";
    } else if (text.empty()) {
        rights_complete_ = true;
    } else if (rights_.size() + text.size() > max_rights) {
        broken_ = "its file names more files and addresses than can be told";
    } else {
        rights_ += text;
    }
}

void ConfigReader::on_channel_closed(std::string_view reason) {
    if (reason != "end of file") {
        broken_ = reason;
        cancel();
    }
    channel_.reset();
}

void ConfigReader::on_deadline() {
    late_ = true;
    cancel();
}

void ConfigReader::cancel() noexcept {
    process_.signal(SIGKILL);
    if (!end_timer_.started()) end_timer_.start_once(end_time);
}

void ConfigReader::on_end_time() {
    on_exit({.signal = SIGKILL, .given_up = true});
}

// Module code ran in the process that made it: it must not open for the master what the file does not name.
void ConfigReader::take_image() {
    verdict_.image_fd = std::move(image_memory_);
    verdict_.image.emplace(Image::open(verdict_.image_fd.get()));
    const Settings settings = Settings::load(*verdict_.image);
    if (!rights_complete_ || !allows(rights_, settings))
        throw std::runtime_error("its directory, user, files or addresses are not those of the file");
    const bool sealed =
        std::ranges::all_of(verdict_.libraries, [](const UniqueFd& fd) { return is_sealed(fd.get()); });
    if (!sealed || settings.libraries.size() != verdict_.libraries.size())
        throw std::runtime_error("its shared libraries are not those that it loaded, or can be changed");
}

void ConfigReader::on_exit(const ExitReport& report) {
    if (std::exchange(reaped_, true)) return;  // one that was given up has ended at last
    deadline_timer_.stop();
    end_timer_.stop();
    if (channel_ != nullptr) channel_->receive_pending();
    channel_.reset();
    std::vector<std::string>& findings = verdict_.findings;
    const bool found_faults =
        !findings.empty() && report.signal == 0 && report.code == to_int(ExitCode::config);
    // A shared library that the file names, and that would crash again.
    const bool library_crashed = !loading_.empty() && report.signal != 0 && report.signal != SIGKILL;
    verdict_.of_the_file = !late_ && broken_.empty() && (found_faults || library_crashed);
    if (late_) {
        findings = {"the config reader was not done within " + std::to_string(deadline.count()) + " s"};
        if (report.given_up) findings.front() += "; it " + report.text();
    } else if (!broken_.empty()) {
        findings = {"the config reader cannot be trusted: " + broken_};
    } else if (!report.clean() && findings.empty()) {
        findings = {"the config reader " + report.text()};
        if (!loading_.empty()) findings.front() += "; the last module that it loaded was " + loading_;
    } else if (findings.empty() && !done_) {
        findings = {"the config reader has ended before all that it had to say could be sent"};
    } else if (findings.empty()) {
        try {
            take_image();
        } catch (const std::exception& failure) {
            findings = {std::string("the config reader's image cannot be used: ") + failure.what()};
        }
    }
    std::ranges::transform(findings, findings.begin(), visible_text);
    std::ranges::transform(verdict_.changes, verdict_.changes.begin(), visible_text);
    if (!findings.empty()) {
        verdict_.image_fd.reset();
        verdict_.image.reset();
        verdict_.libraries.clear();
    }
    Verdict verdict = std::move(verdict_);
    on_verdict_(verdict);
}

}  // namespace drover
