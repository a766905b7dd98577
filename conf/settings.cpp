#include "conf/settings.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <limits>
#include <stdexcept>

namespace drover {

namespace {

[[noreturn]] void refuse_image(const std::string& what) {
    throw std::runtime_error("configuration image: " + what);
}

ImageNode require(const ImageNode& table, std::string_view name, ValueType type) {
    const ImageNode node = table.find(name);
    if (!node) refuse_image(std::string(name) + " is missing");
    if (node.type() != type) refuse_image(std::string(name) + " is of another type");
    return node;
}

int whole_seconds(std::int64_t milliseconds) noexcept {
    return static_cast<int>(milliseconds / 1000);
}

void put_together(ListenSettings& listen, const PoolSettings& pool, const std::string& directory) {
    const auto mode = parse_unix_mode(listen.unix_mode);
    if (!mode) refuse_image("unix_mode is not an octal mode");
    const auto owner = parse_id(listen.unix_owner);
    const auto group = parse_id(listen.unix_group);
    if ((!owner && !listen.unix_owner.empty()) || (!group && !listen.unix_group.empty()))
        refuse_image("unix_owner or unix_group is not a number");
    if (std::ranges::find(pool.modules, listen.module) == pool.modules.end())
        refuse_image("a listener's module is not one of its pool's");
    try {
        listen.address = Address::parse(listen.address_text, directory);
    } catch (const std::invalid_argument& error) {
        refuse_image(error.what());
    }
    listen.listener = {.balance = listen.balance,
                       .backlog = listen.backlog,
                       .nodelay = listen.nodelay,
                       .defer_accept_s = whole_seconds(listen.defer_accept_ms),
                       .keepalive = listen.keepalive,
                       .keepalive_idle_s = whole_seconds(listen.keepalive_idle_ms),
                       .keepalive_interval_s = whole_seconds(listen.keepalive_interval_ms),
                       .keepalive_count = listen.keepalive_count,
                       .ipv6_only = listen.ipv6_only,
                       .unix_mode = *mode,
                       .unix_owner = owner,
                       .unix_group = group,
                       .freebind = listen.freebind,
                       .optional = listen.optional ? Optional::yes : Optional::no,
                       .receive_buffer = static_cast<int>(listen.receive_buffer)};
    if (Listener::shares_socket(listen.address, listen.listener)) listen.listener.balance = Balance::shared;
}

std::vector<LibrarySettings> load_libraries(const ImageNode& list) {
    std::vector<LibrarySettings> libraries;
    for (std::uint32_t index = 0; index < list.size(); ++index) {
        const ImageNode entry = list.child(index);
        libraries.push_back({require(entry, "path", ValueType::text).text(),
                             require(entry, "module", ValueType::text).text()});
    }
    return libraries;
}

std::vector<FileSettings> load_files(const ImageNode& list, const Settings& settings) {
    if (list.size() > max_files) refuse_image("it has too many files");
    std::vector<FileSettings> files;
    for (std::uint32_t index = 0; index < list.size(); ++index) {
        const ImageNode entry = list.child(index);
        const std::string_view text = require(entry, "path", ValueType::text).text();
        files.push_back({absolute_log_target(text, settings.directory), text,
                         require(entry, "module", ValueType::text).text(),
                         require(entry, "place", ValueType::text).text()});
    }
    return files;
}

PoolSettings load_pool(const ImageNode& node, const std::string& directory,
                       const std::vector<LibrarySettings>& libraries) {
    if (!valid_pool_name(node.name())) refuse_image("a pool's name is not one");
    verify_options(PoolSettings::options(), node, true);
    PoolSettings pool = PoolSettings::options().load(node);
    pool.name = node.name();
    if (pool.workers == 0) refuse_image("a pool has no workers");
    for (std::string_view& module : pool.modules) {
        const auto library = std::ranges::find(libraries, module, &LibrarySettings::path);
        if (library != libraries.end()) module = library->module;
    }
    for (ListenSettings& listen : pool.listen)
        put_together(listen, pool, directory);
    return pool;
}

// What the reader says of each listener beside its keys, in the order of pools and listeners.
void load_listener_notes(const ImageNode& list, std::vector<PoolSettings>& pools) {
    std::uint32_t index = 0;
    for (PoolSettings& pool : pools) {
        for (ListenSettings& listen : pool.listen) {
            if (index == list.size()) refuse_image("it tells too little of its listeners");
            const ImageNode note = list.child(index++);
            listen.place = require(note, "place", ValueType::text).text();
            const bool one_of_several = require(note, "one_of_several", ValueType::boolean).boolean();
            if (one_of_several && !listen.optional) listen.listener.optional = Optional::without_address;
        }
    }
    if (index != list.size()) refuse_image("it tells of more listeners than it has");
}

}  // namespace

Settings Settings::load(const Image& image) {
    const ImageNode root = image.root();
    Settings settings;
    settings.config_path = require(root, "source", ValueType::text).text();
    settings.directory = require(root, "directory", ValueType::text).text();
    if (!settings.config_path.starts_with('/') || !settings.directory.starts_with('/'))
        refuse_image("the path of its source is not absolute");
    settings.auto_workers = require(root, "auto_workers", ValueType::text).text();
    const ImageNode master = require(root, "master", ValueType::table);
    verify_options(MasterSettings::options(), master, true);
    settings.master = MasterSettings::options().load(master);

    settings.libraries = load_libraries(require(root, "libraries", ValueType::list));
    settings.files = load_files(require(root, "files", ValueType::list), settings);
    const ImageNode pools = require(root, "pool", ValueType::table);
    if (pools.size() == 0 || pools.size() > max_pools) refuse_image("it has no pool, or too many");
    for (std::uint32_t index = 0; index < pools.size(); ++index)
        settings.pools.push_back(load_pool(pools.child(index), settings.directory, settings.libraries));
    load_listener_notes(require(root, "listener_notes", ValueType::list), settings.pools);
    require(root, "module", ValueType::table);
    static_cast<void>(declared_counters(image));
    return settings;
}

const PoolSettings* Settings::find_pool(std::string_view name) const noexcept {
    const auto pool = std::ranges::find(pools, name, &PoolSettings::name);
    return pool == pools.end() ? nullptr : &*pool;
}

std::string Settings::absolute_path(std::string_view path) const {
    return (std::filesystem::path(directory) / path).lexically_normal().string();
}

bool valid_pool_name(std::string_view name) noexcept {
    const auto allowed = [](char letter) {
        return (letter >= 'a' && letter <= 'z') || (letter >= '0' && letter <= '9') || letter == '_' ||
               letter == '-';
    };
    return !name.empty() && name.size() <= 63 && std::ranges::all_of(name, allowed);
}

bool is_datagram_address(std::string_view address) noexcept {
    return address.starts_with("udp:") || address.starts_with("unixgram:");
}

std::vector<std::string> listener_places(std::string_view address) {
    const std::string kind = address.starts_with("udp:") ? "udp:" : "";
    const std::string name = kind + "localhost:";
    if (!address.starts_with(name)) return {std::string(address)};
    const std::string port(address.substr(name.size()));
    return {kind + "127.0.0.1:" + port, kind + "[::1]:" + port};
}

std::optional<unsigned> parse_unix_mode(std::string_view text) noexcept {
    unsigned mode = 0;
    if (text.size() < 3 || text.size() > 4) return {};
    const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
    if (error != std::errc() || rest != text.data() + text.size() || mode > 0777) return {};
    return mode;
}

std::optional<std::uint32_t> parse_id(std::string_view text) noexcept {
    std::uint32_t id = 0;
    const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    const bool whole = error == std::errc() && rest == text.data() + text.size();
    return whole && id != std::numeric_limits<std::uint32_t>::max() ? std::optional(id) : std::nullopt;
}

std::optional<std::vector<unsigned>> parse_processor_list(std::string_view text) {
    constexpr unsigned highest = 1023;  // cpu_set_t has room for no more
    std::vector<unsigned> processors;
    const char* at = text.data();
    const char* const end = at + text.size();
    const auto number = [&](unsigned& value) {
        const auto [rest, error] = std::from_chars(at, end, value);
        const bool good = error == std::errc() && value <= highest;
        at = rest;
        return good;
    };
    while (true) {
        unsigned first = 0;
        if (!number(first)) return {};
        unsigned last = first;
        if (at != end && *at == '-') {
            ++at;
            if (!number(last) || last < first) return {};
        }
        for (unsigned processor = first; processor <= last; ++processor) {
            if (std::ranges::find(processors, processor) != processors.end()) return {};
            processors.push_back(processor);
        }
        if (at == end) return processors;
        if (*at++ != ',') return {};
    }
}

}  // namespace drover
