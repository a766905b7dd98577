#include "master/reader_child.h"

#include "conf/checker.h"
#include "conf/privileged_values.h"
#include "conf/toml_reader.h"
#include "core/build_info.h"
#include "core/channel.h"
#include "core/event_loop.h"
#include "core/exit_code.h"
#include "core/process.h"
#include "worker/module_declarations.h"
#include "worker/privileges.h"

#include <optional>

#include <sys/resource.h>

namespace drover {

namespace {

constexpr std::chrono::seconds goodbye_time{5};
constexpr rlim_t memory_limit = rlim_t{512} * 1024 * 1024;
constexpr rlim_t cpu_limit_s = 10;

void limit_resources() noexcept {
    const rlimit memory{memory_limit, memory_limit};
    if (!address_sanitizer) ::setrlimit(RLIMIT_AS, &memory);
    const rlimit cpu{cpu_limit_s, cpu_limit_s};
    ::setrlimit(RLIMIT_CPU, &cpu);
}

// Parsing needs whatever rights the master has to the file; modules get no more than `user` has.
CheckedConfiguration read_and_check(const ReaderInheritance& inheritance, Channel& channel) {
    const Document document = read_toml(inheritance.config_path);
    const std::string rights = privileged_values(document);
    for (std::size_t at = 0; at < rights.size(); at += max_message_payload)
        channel.send_text(MessageType::config_rights,
                          std::string_view(rights).substr(at, max_message_payload));
    become_user(configured_user(document));
    std::optional<Image> running;
    if (inheritance.running_image_fd >= 0) running.emplace(Image::open(inheritance.running_image_fd));
    return check_document(document, declare_modules(inheritance.modules), running ? &*running : nullptr);
}

ExitCode report(Channel& channel, const CheckedConfiguration& checked) {
    for (const std::string& finding : checked.findings)
        channel.send_text(MessageType::config_error, finding);
    if (!checked.findings.empty()) return ExitCode::config;
    for (const std::string& line : checked.difference.lines)
        channel.send_text(MessageType::config_change, line);
    const UniqueFd image = publish_image(checked.image);
    const int fds[] = {image.get()};
    const ConfigImageMessage message{static_cast<std::uint32_t>(checked.difference.change), 0};
    return channel.send(MessageType::config_image, message, fds) ? ExitCode::ok : ExitCode::refused;
}

}  // namespace

int run_config_reader(const ReaderInheritance& inheritance) {
    set_process_title("drover: config reader");
    limit_resources();
    EventLoop loop;
    Channel channel(loop, UniqueFd(inheritance.channel_fd), {}, {});
    ExitCode code = ExitCode::config;
    try {
        code = report(channel, read_and_check(inheritance, channel));
    } catch (const ConfigError& error) {
        for (const std::string& finding : error.findings)
            channel.send_text(MessageType::config_error, finding);
    } catch (const std::exception& failure) {
        channel.send_text(MessageType::config_error, inheritance.config_path + ": " + failure.what());
    }
    channel.flush(goodbye_time);
    return to_int(code);
}

}  // namespace drover
