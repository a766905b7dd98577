#include "conf/reader/machine.h"

#include "core/process/cgroup.h"
#include "core/process/processors.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

namespace drover {

namespace {

// A worker's part of the descriptors for what "auto" keeps open.
constexpr std::uint64_t descriptors_part = 4;

std::uint64_t physical_memory() noexcept {
    const auto pages = static_cast<std::uint64_t>(std::max(0L, ::sysconf(_SC_PHYS_PAGES)));
    return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::uint64_t descriptor_limit() noexcept {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_max;
}

// A tenth stays with the master and with what is in no worker's memory.
std::uint64_t equal_part(const Machine& machine) noexcept {
    return machine.memory / 10 * 9 / std::max(machine.workers, 1U);
}

std::uint64_t number_for(const IntegerRule& rule, std::string_view text, const Machine& machine) {
    if (const auto percent = parse_share(text)) return machine.memory / 100 * *percent;
    switch (rule.resource) {
        case Resource::processors:
            return machine.processors;
        case Resource::memory:
            return equal_part(machine);
        case Resource::descriptors:
            return std::min(machine.descriptors / descriptors_part,
                            static_cast<std::uint64_t>(rule.fallback));
        case Resource::none:
            break;
    }
    return 0;
}

void resolve(const OptionKey& key, ImageValue& value, const Machine& machine) {
    if (key.type == ValueType::table) return resolve_resources(*key.table, value, machine);
    const IntegerRule& rule = key.integer;
    if (!names_resource(rule, value.text)) return;
    constexpr std::uint64_t highest = std::numeric_limits<std::int64_t>::max();
    const std::uint64_t number = std::min(number_for(rule, value.text, machine), highest);
    value.integer = std::clamp(static_cast<std::int64_t>(number), rule.min, rule.max);
}

}  // namespace

Machine Machine::look() {
    const auto allowed = static_cast<unsigned>(allowed_processors().size());
    Machine machine{.processors = std::max(allowed, 1U),
                    .processors_reason = "the master may run on so many processors",
                    .memory = physical_memory(),
                    .descriptors = descriptor_limit()};
    if (const auto quota = find_processor_quota(); quota && quota->processors() < machine.processors) {
        machine.processors = quota->processors();
        machine.processors_reason = fmt::format(
            "control group {} allows {:.2f} processors' time, of {} that the master may run on",
            quota->folder, static_cast<double>(quota->quota_us) / static_cast<double>(quota->period_us),
            allowed);
    }
    if (const auto limit = find_memory_limit()) machine.memory = std::min(machine.memory, limit->bytes);
    return machine;
}

void resolve_resources(const OptionTable& options, ImageValue& table, const Machine& machine) {
    for (ImageValue& value : table.children) {
        const OptionKey* const key = options.find(value.name);
        if (key == nullptr) continue;
        if (!key->list) {
            resolve(*key, value, machine);
            continue;
        }
        for (ImageValue& element : value.children)
            resolve(*key, element, machine);
    }
}

}  // namespace drover
