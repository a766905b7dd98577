#include "conf/settings.h"

#include "tests/conf/toy_modules.h"

#include <functional>
#include <stdexcept>

#include <doctest/doctest.h>
#include <sched.h>

using namespace drover;

namespace {

const char* const full = R"(
[master]
runtime_dir = "../run"
log_level = "warning"
log_format = "json"
reload = "fresh"
[pool.web]
workers = 3
modules = ["http", "echo"]
max_connections = 7
drain_timeout = 0
start_timeout = "1m"
report_interval = "100ms"
respawn.delay = "2s"
[[pool.web.listen]]
address = "127.0.0.1:80"
module = "http"
balance = "shared"
backlog = 9
nodelay = false
defer_accept = "5s"
keepalive = true
keepalive_idle = "1m"
keepalive_interval = "10s"
keepalive_count = 4
ipv6_only = false
[[pool.web.listen]]
address = "unix:web.sock"
module = "echo"
unix_mode = "0600"
[pool.idle]
)";

// The tree of an image, to be changed and built again.
ImageValue value_of(const ImageNode& node) {
    ImageValue value{.name = std::string(node.name()),
                     .type = node.type(),
                     .apply = node.apply(),
                     .is_default = node.is_default(),
                     .integer = node.integer(),
                     .text = std::string(node.text())};
    for (std::uint32_t index = 0; index < node.size(); ++index)
        value.children.push_back(value_of(node.child(index)));
    return value;
}

ImageValue& child(ImageValue& parent, std::string_view name) {
    for (ImageValue& value : parent.children)
        if (value.name == name) return value;
    FAIL(name);
    return parent;
}

std::string load_error(const std::function<void(ImageValue&)>& change) {
    const std::vector<std::byte> good = toy::check(full).image;
    ImageValue root = value_of(Image::view(good).root());
    change(root);
    const std::vector<std::byte> bytes = build_image(root);
    try {
        Settings::load(Image::view(bytes));
    } catch (const std::runtime_error& error) {
        return error.what();
    }
    return "";
}

}  // namespace

TEST_CASE("settings: udp listeners share one socket, with its own options") {
    const CheckedConfiguration checked = toy::check(
        "[pool.a]\nmodules = ['echo']\n"
        "[[pool.a.listen]]\naddress = 'udp:*:53'\nmodule = 'echo'\nreceive_buffer = '1M'\nmax_datagram = "
        "4096\n"
        "[[pool.a.listen]]\naddress = 'udp:*:54'\nmodule = 'echo'\n");
    REQUIRE(checked.findings.empty());
    const Image image = Image::view(checked.image);
    const Settings settings = Settings::load(image);
    const std::vector<ListenSettings>& listen = settings.pools[0].listen;
    CHECK(listen[0].address.is_udp());
    CHECK(listen[0].listener.balance == Balance::shared);
    CHECK(listen[0].listener.receive_buffer == 1024 * 1024);
    CHECK(listen[0].max_datagram == 4096);
    CHECK(listen[1].listener.receive_buffer == 0);
    CHECK(listen[1].max_datagram == 65536);
}

TEST_CASE("settings are what the file says") {
    const CheckedConfiguration checked = toy::check(full);
    REQUIRE(checked.findings.empty());
    const Image image = Image::view(checked.image);
    const Settings settings = Settings::load(image);
    CHECK(settings.config_path == "/etc/toy.toml");
    CHECK(settings.directory == "/etc");
    CHECK(settings.runtime_dir() == "/run");
    CHECK(settings.absolute_path("stderr") == "/etc/stderr");
    CHECK(settings.absolute_path("a/b") == "/etc/a/b");
    CHECK(settings.absolute_path("/a/b") == "/a/b");
    CHECK(settings.master.log_level == LogLevel::warning);
    CHECK(settings.master.log_format == LogFormat::json);
    CHECK(settings.master.reload == MasterSettings::Reload::fresh);
    REQUIRE(settings.pools.size() == 2);
    CHECK(settings.pools[0].name == "web");
    CHECK(settings.find_pool("idle") == &settings.pools[1]);
    CHECK(settings.find_pool("none") == nullptr);

    const PoolSettings& pool = settings.pools[0];
    CHECK(pool.workers == 3);
    CHECK(pool.modules == std::vector<std::string_view>{"http", "echo"});
    CHECK(pool.max_connections == 7);
    CHECK(pool.drain_timeout_ms == 0);
    CHECK(pool.start_timeout_ms == 60'000);
    CHECK(pool.report_interval_ms == 100);
    CHECK(pool.respawn.delay_ms == 2000);
    REQUIRE(pool.listen.size() == 2);
    CHECK(pool.listen[0].address.text() == "127.0.0.1:80");
    CHECK(pool.listen[0].module == "http");
    CHECK(pool.listen[0].listener == ListenerOptions{.balance = Balance::shared,
                                                     .backlog = 9,
                                                     .nodelay = false,
                                                     .defer_accept_s = 5,
                                                     .keepalive = true,
                                                     .keepalive_idle_s = 60,
                                                     .keepalive_interval_s = 10,
                                                     .keepalive_count = 4,
                                                     .ipv6_only = false});
    CHECK(pool.listen[1].address.unix_path() == "/etc/web.sock");
    CHECK(pool.listen[1].listener.unix_mode == 0600);
    CHECK(pool.listen[1].listener.balance == Balance::shared);
}

TEST_CASE("defaults are those of the declarations") {
    const CheckedConfiguration checked =
        toy::check("[pool.a]\nmodules = ['echo']\nlisten = [{ address = '*:80', module = 'echo' }]");
    REQUIRE(checked.findings.empty());
    const Settings settings = Settings::load(Image::view(checked.image));
    CHECK(settings.runtime_dir() == "/etc/run");
    CHECK(settings.master.log_file == "stderr");
    CHECK(settings.master.log_level == LogLevel::info);
    CHECK(settings.master.user.empty());
    CHECK(settings.master.reload == MasterSettings::Reload::automatic);
    const PoolSettings& pool = settings.pools.at(0);
    CHECK(pool.max_connections == 16384);
    CHECK(pool.drain_timeout_ms == 30'000);
    CHECK(pool.handover_timeout_ms == 30'000);
    CHECK(pool.start_timeout_ms == 10'000);
    CHECK(pool.report_interval_ms == 1000);
    CHECK(pool.respawn.delay_ms == 100);
    CHECK(pool.listen.at(0).listener == ListenerOptions{});
}

TEST_CASE("a hostile image is not loaded") {
    const std::string prefix = "configuration image: ";
    CHECK(load_error([](ImageValue&) {}).empty());
    for (const char* name : {"source", "directory", "master", "pool", "module", "counters"}) {
        CHECK(load_error([&](ImageValue& root) { child(root, name).name = "x"; }) ==
              prefix + name + " is missing");
        CHECK(load_error([&](ImageValue& root) {
                  child(root, name) = {.name = name, .type = ValueType::integer};
              }) == prefix + name + " is of another type");
    }
    CHECK(!load_error([](ImageValue& root) { child(root, "directory").text = "relative"; }).empty());
    CHECK(!load_error([](ImageValue& root) { child(root, "pool").children.clear(); }).empty());
    CHECK(!load_error([](ImageValue& root) { child(root, "pool").children[0].name = "../x"; }).empty());
    CHECK(!load_error([](ImageValue& root) {
               ImageValue& pools = child(root, "pool");
               for (int index = 0; index < 64; ++index) {
                   pools.children.push_back(pools.children[1]);
                   pools.children.back().name = "p" + std::to_string(index);
               }
           }).empty());

    const auto pool_error = [&](const std::function<void(ImageValue&)>& change) {
        return load_error([&](ImageValue& root) { change(child(child(root, "pool"), "web")); });
    };
    for (const OptionKey& key : PoolSettings::options().keys()) {
        CHECK(pool_error([&](ImageValue& pool) { child(pool, key.name).name = "x"; }) ==
              prefix + key.name + ": missing");
        const bool boolean = key.type == ValueType::boolean;
        CHECK(!pool_error([&](ImageValue& pool) {
                   child(pool, key.name) = {.name = key.name,
                                            .type = boolean ? ValueType::integer : ValueType::boolean};
               }).empty());
    }
    CHECK(pool_error([](ImageValue& pool) { child(pool, "workers").integer = 1 << 30; }) ==
          prefix + "workers: out of bounds");
    CHECK(!pool_error([](ImageValue& pool) { child(pool, "workers").integer = -1; }).empty());
    CHECK(!pool_error([](ImageValue& pool) { child(pool, "workers").integer = 0; }).empty());
    CHECK(!pool_error([](ImageValue& pool) { child(pool, "drain_timeout").integer = -1; }).empty());
    CHECK(!pool_error([](ImageValue& pool) { child(pool, "report_interval").integer = 0; }).empty());

    const auto listen_error = [&](const std::function<void(ImageValue&)>& change) {
        return pool_error([&](ImageValue& pool) { change(child(pool, "listen").children[0]); });
    };
    for (const OptionKey& key : ListenSettings::options().keys())
        CHECK(listen_error([&](ImageValue& listen) { child(listen, key.name).name = "x"; }) ==
              prefix + key.name + ": missing");
    CHECK(listen_error([](ImageValue& listen) {
              child(listen, "address").text = "somewhere";
          }).starts_with(prefix));
    CHECK(!listen_error([](ImageValue& listen) { child(listen, "unix_mode").text = "9999"; }).empty());
    CHECK(!listen_error([](ImageValue& listen) { child(listen, "balance").text = "none"; }).empty());
    CHECK(!listen_error([](ImageValue& listen) { child(listen, "backlog").integer = 1LL << 40; }).empty());
    CHECK(listen_error([](ImageValue& listen) { child(listen, "module").text = "other"; }) ==
          prefix + "a listener's module is not one of its pool's");

    for (const OptionKey& key : MasterSettings::options().keys())
        CHECK(load_error([&](ImageValue& root) { child(child(root, "master"), key.name).name = "x"; }) ==
              prefix + key.name + ": missing");
    CHECK(load_error([](ImageValue& root) { child(child(root, "master"), "runtime_dir").text = ""; }) ==
          prefix + "runtime_dir: empty");
    CHECK(!load_error([](ImageValue& root) {
               child(child(root, "counters").children[0], "kind").text = "x";
           }).empty());
    CHECK(!load_error([](ImageValue& root) {
               child(child(root, "counters").children[0], "name").text = "a b";
           }).empty());
    CHECK(
        !load_error([](ImageValue& root) { child(root, "counters").children[0].children.clear(); }).empty());
}

TEST_CASE("modes are octal") {
    CHECK(parse_unix_mode("0666") == 0666U);
    CHECK(parse_unix_mode("600") == 0600U);
    for (const char* wrong : {"", "0", "66", "06666", "0888", "0x66", "+666", " 666", "1000"})
        CHECK_MESSAGE(!parse_unix_mode(wrong), wrong);
}
TEST_CASE("a list of processors") {
    using List = std::vector<unsigned>;
    CHECK(parse_processor_list("0") == List{0});
    CHECK(parse_processor_list("0-3,8") == List{0, 1, 2, 3, 8});
    CHECK(parse_processor_list("5,2") == List{5, 2});
    CHECK(parse_processor_list("1023") == List{1023});
    for (const char* wrong : {"", ",", "1,", ",1", "a", "1-", "-1", "3-1", "1,1", "0-3,2", "1024", "0-1024",
                              "1 2", "1, 2", "99999999999"})
        CHECK_MESSAGE(!parse_processor_list(wrong), wrong);
}
