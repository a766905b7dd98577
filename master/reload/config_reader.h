// ConfigReader is one run of the config reader: a child that reads and checks the configuration and fills and
// seals the image, whose memory it was given, and tells the difference from the running one. Whatever it does
// (findings, crash, hang, lies) becomes one Verdict. Owned by whoever wants the verdict; destroying it kills
// the child. Runs in: the master, and `drover check`; the child is master/reload/reader_child.h.
#pragma once

#include "conf/image/diff.h"
#include "conf/image/image.h"
#include "core/loop/event_loop.h"
#include "core/loop/run_clock.h"
#include "core/process/process.h"
#include "core/protocol/channel.h"
#include "worker/module/module.h"

#include <chrono>
#include <csignal>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace drover {

class ConfigReader {
  public:
    struct Verdict {
        std::vector<std::string> findings;  // why not; empty: the configuration is good
        bool of_the_file = false;           // they are faults of the file, and would be found again
        std::vector<std::string> changes;   // lines of the difference
        Change change = Change::fresh;
        UniqueFd image_fd;                // sealed; when good
        std::vector<UniqueFd> libraries;  // sealed copies, in the order of the image's list; when good
        std::optional<Image> image;       // verified; when good
    };
    using VerdictHandler = Callback<void(Verdict&)>;

    static constexpr std::chrono::seconds deadline{10};
    static constexpr std::chrono::seconds end_time{5};  // from KILL to its end
    static constexpr std::size_t max_lines = 256;       // of findings, of changes

    // Starts the child. `running_image_fd` is -1 at the first start; `trial` as ReaderInheritance has it.
    // Throws std::system_error when it cannot be forked.
    ConfigReader(const RunClock& clock, const std::string& config_path,
                 std::span<const ModuleFactory> modules, int running_image_fd, VerdictHandler on_verdict,
                 bool trial = false);
    ~ConfigReader();

    pid_t pid() const noexcept { return process_.pid(); }
    // Kills the child; the verdict that follows its end will be a refusal. It comes also when the child does
    // not end (state D).
    void cancel() noexcept;
    // It has been reaped, or is given up: gives the verdict, from here. The handler may destroy the reader.
    void on_exit(const ExitReport& report);

  private:
    void on_message(Message& message);
    void add_rights(std::string_view text);
    void on_channel_closed(std::string_view reason);
    void on_deadline();
    void on_end_time();
    void take_image();

    VerdictHandler on_verdict_;
    Process process_;
    std::unique_ptr<Channel> channel_;
    // Made here, filled and sealed by the child: what it would have to send could be held up by others of its
    // user, who have too many descriptors on their way (unix(7), ETOOMANYREFS).
    UniqueFd image_memory_;
    RunTimer deadline_timer_;
    RunTimer end_timer_;  // from its KILL on
    Verdict verdict_;
    std::string loading_;  // the shared library that the child was about to load
    std::string rights_;   // conf/reader/privileged_values.h of the file
    bool rights_complete_ = false;
    bool done_ = false;   // the child has said that the image is made
    std::string broken_;  // why what came on the channel cannot be used
    bool late_ = false;
    bool reaped_ = false;  // or given up
};

}  // namespace drover
