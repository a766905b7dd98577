#include "conf/reader/checker.h"

#include "conf/settings.h"
#include "tests/conf/toy_modules.h"

#include <stdexcept>

#include <doctest/doctest.h>

using namespace drover;

namespace {

std::string pool(std::string_view keys) {
    return toy::findings("[pool.a]\n" + std::string(keys));
}
std::string listener(std::string_view keys) {
    return toy::findings(
        "[pool.a]\nmodules = ['echo']\n[[pool.a.listen]]\naddress = '*:80'\nmodule = 'echo'\n" +
        std::string(keys));
}
std::string http(std::string_view keys) {
    return toy::findings("[pool.a]\nmodules = ['http']\n[module.http]\n" + std::string(keys));
}

}  // namespace

TEST_CASE("unknown keys are found everywhere, with the nearest known one") {
    CHECK(pool("worker = 2") == "F:2:1: pool.a: unknown key \"worker\"; did you mean \"workers\"?\n");
    CHECK(toy::findings("mastr = 1\n[pool.a]") == "F:1:1: unknown key \"mastr\"; did you mean \"master\"?\n");
    CHECK(toy::findings("[pool.a]\n[master]\nlog_leevl = 'info'") ==
          "F:3:1: master: unknown key \"log_leevl\"; did you mean \"log_level\"?\n");
    CHECK(listener("adress = 1") ==
          "F:6:1: pool.a.listen[0]: unknown key \"adress\"; did you mean \"address\"?\n");
    CHECK(http("[[module.http.route]]\npath = '/'\nreturn = { boddy = '' }") ==
          "F:6:12: module.http.route[0].return: unknown key \"boddy\"; did you mean \"body\"?\n");
    CHECK(http("[module.http.limits]\nxyzzy = 1") ==
          "F:5:1: module.http.limits: unknown key \"xyzzy\"; known are \"body\", \"idle\"\n");
    CHECK(toy::findings("[pool.a]\n[pol.b]") == "F:2:2: unknown key \"pol\"; did you mean \"pool\"?\n");
    CHECK(pool("\"a\\nb\" = 1").find("unknown key \"a\\nb\"; known are") != std::string::npos);
}

TEST_CASE("a value of the wrong type is named with the right one") {
    CHECK(pool("workers = true") ==
          "F:2:11: pool.a.workers: expected an integer or \"auto\", not a boolean\n");
    CHECK(pool("workers = 1.5").find("not a number with a fraction") != std::string::npos);
    CHECK(pool("workers = 'many'") ==
          "F:2:11: pool.a.workers: expected an integer or \"auto\", not \"many\"\n");
    CHECK(pool("max_connections = '5'") ==
          "F:2:19: pool.a.max_connections: expected an integer, not a text\n");
    CHECK(pool("modules = 'http'") == "F:2:11: pool.a.modules: expected a list of texts, not a text\n");
    CHECK(pool("modules = ['http', 3]") ==
          "F:2:20: pool.a.modules[1]: expected a text, not an integer; a text stands in quotes: \"3\"\n");
    CHECK(pool("listen = { a = 1 }") ==
          "F:2:10: pool.a.listen: is a list of tables; write [[pool.a.listen]], with two brackets on each "
          "side\n");
    CHECK(pool("listen = ['*:80']") == "F:2:11: pool.a.listen[0]: expected a table, not a text\n");
    CHECK(pool("drain_timeout = [1]") ==
          "F:2:17: pool.a.drain_timeout: expected a duration such as \"30s\", not a list\n");
    CHECK(listener("nodelay = 1") ==
          "F:6:11: pool.a.listen[0].nodelay: expected a boolean, not an integer\n");
    CHECK(http("limits = 5") == "F:4:10: module.http.limits: expected a table, not an integer\n");
    CHECK(http("mode = 1979-05-27") == "F:4:8: module.http.mode: expected a text, not a date\n");
    CHECK(toy::findings("master = 5\n[pool.a]") == "F:1:10: master: expected a table, not an integer\n");
    CHECK(toy::findings("pool = 5") == "F:1:8: pool: expected a table, not an integer\n");
    CHECK(toy::findings("pool.a = 5") == "F:1:10: pool.a: expected a table, not an integer\n");
    CHECK(toy::findings("module = 5\n[pool.a]") == "F:1:10: module: expected a table, not an integer\n");
    CHECK(toy::findings("module.echo = 5\n[pool.a]") ==
          "F:1:15: module.echo: expected a table, not an integer\n");
}

TEST_CASE("bounds are kept and shown") {
    CHECK(pool("workers = 0") ==
          "F:2:11: pool.a.workers: 0 is out of bounds; allowed: 1 to 1024, or \"auto\"\n");
    CHECK(pool("workers = 1025").find("1025 is out of bounds") != std::string::npos);
    CHECK(pool("workers = 1024").empty());
    CHECK(pool("report_interval = '5ms'") ==
          "F:2:19: pool.a.report_interval: 5ms is out of bounds; allowed: 10ms to 1m\n");
    CHECK(pool("drain_timeout = '2d'") ==
          "F:2:17: pool.a.drain_timeout: 2d is out of bounds; allowed: 0 to 1d\n");
    CHECK(toy::findings("[pool.a]\n[module.echo]\nmax_buffer = '4G'") ==
          "F:3:14: module.echo.max_buffer: 4G is out of bounds; allowed: 1K to 4294967295\n");
    CHECK(http("hosts = ['a', 'b', 'c', 'd']") ==
          "F:4:9: module.http.hosts: has 4 elements; at most 3 are allowed\n");
    CHECK(http("[[module.http.route]]\npath = '/" + std::string(64, 'x') + "'") ==
          "F:5:8: module.http.route[0].path: has 65 bytes; at most 64 are allowed\n");
    CHECK(toy::findings("[pool.a]\n[master]\nuser = \"a\\u0000b\"") ==
          "F:3:8: master.user: must not contain a NUL character\n");
    CHECK(toy::findings("[pool.a]\n[master]\nlog_file = ''") ==
          "F:3:12: master.log_file: must not be empty\n");
    CHECK(toy::findings("[pool.a]\n[master]\nlog_file = 'fifo:'") ==
          "F:3:12: master.log_file: \"fifo:\" needs a path, such as \"fifo:/run/drover.log\"\n");
}

TEST_CASE("mistakes that many make are told what to do") {
    CHECK(toy::findings("[pool.a]\n[pool.a.listen]\naddress = '*:80'\n") ==
          "F:2:9: pool.a.listen: is a list of tables; write [[pool.a.listen]], with two brackets on each "
          "side\n");
    CHECK(toy::findings("[pool.a]\n[module.http.route]\npath = '/'\n") ==
          "F:2:14: module.http.route: is a list of tables; write [[module.http.route]], with two brackets on "
          "each "
          "side\n");
    CHECK(toy::findings("[[pool.a]]\n") ==
          "F:1:1: pool.a: is one table; write [pool.a], with one bracket on each side\n");
    CHECK(toy::findings("[pool.a]\n[[module.http]]\n") ==
          "F:2:1: module.http: is one table; write [module.http], with one bracket on each side\n");
    CHECK(toy::findings("[pool.a]\n[[module.http.limits]]\n").find("write [module.http.limits]") !=
          std::string::npos);
    CHECK(listener("tls = true") ==
          "F:6:1: pool.a.listen[0]: unknown key \"tls\"; this version has no TLS; let a "
          "proxy in front of it end TLS\n");
    CHECK(http("ssl_certificate = 'x'").find("this version has no TLS") != std::string::npos);
}

TEST_CASE("durations and sizes are taken by their unit") {
    CHECK(pool("drain_timeout = '30s'").empty());
    CHECK(pool("drain_timeout = 0").empty());
    CHECK(pool("drain_timeout = 30") ==
          "F:2:17: pool.a.drain_timeout: 30 has no unit; a duration is written like "
          "\"30s\" (units ms, s, m, h, d)\n");
    CHECK(pool("drain_timeout = '30'") ==
          "F:2:17: pool.a.drain_timeout: 30 has no unit; a duration is written like "
          "\"30s\" (units ms, s, m, h, d)\n");
    CHECK(pool("drain_timeout = '1m30s'").empty());
    CHECK(pool("drain_timeout = '30x'") ==
          "F:2:17: pool.a.drain_timeout: \"30x\" is not a duration; write integers, each with one of d, h, "
          "m, s, ms, "
          "such as \"30s\" or \"1m30s\"\n");
    CHECK(toy::findings("[pool.a]\n[module.echo]\nmax_buffer = '64KB'") ==
          "F:3:14: module.echo.max_buffer: \"64KB\" is not a size; write bytes, or an integer with K, M, G "
          "(1024) "
          "or kB, MB, GB (1000), such as \"64K\"\n");
    CHECK(toy::findings("[pool.a]\n[module.echo]\nmax_buffer = '64K'").empty());
    CHECK(toy::findings("[pool.a]\n[module.echo]\nmax_buffer = '-1'").find("-1 is out of bounds") !=
          std::string::npos);
    CHECK(toy::findings("[pool.a]\n[module.echo]\nmax_buffer = 4096").empty());
    CHECK(http("limits.body = 'of'").find(", or \"off\"\n") != std::string::npos);
    CHECK(http("limits.body = 'off'").empty());
    CHECK(http("limits.idle = 0").find("0 is out of bounds; allowed: 10ms to 1h") != std::string::npos);
}

TEST_CASE("a worker that reports in time does not look as if it hung") {
    CHECK(pool("hang_timeout = '2s'") ==
          "F:2:1: pool.a.hang_timeout: must be more than twice report_interval, which is 1000ms\n");
    CHECK(pool("report_interval = '5s'") ==
          "F:2:1: pool.a.hang_timeout: must be more than twice report_interval, which is 5000ms\n");
    CHECK(pool("report_interval = '5s'\nhang_timeout = 'off'") == "");
    CHECK(pool("report_interval = '100ms'\nhang_timeout = '1s'") == "");
}

TEST_CASE("choices and missing keys") {
    CHECK(http("mode = 'fest'") ==
          "F:4:8: module.http.mode: \"fest\" is not among its choices: \"slow\", \"fast\"; did you mean "
          "\"fast\"?\n");
    CHECK(toy::findings("[pool.a]\n[master]\nreload = 'never'")
              .find("\"never\" is not among its choices: \"auto\", \"fresh\"\n") != std::string::npos);
    CHECK(http("[[module.http.route]]\nhandler = 'x'") ==
          "F:4:1: module.http.route[0]: the key \"path\" is missing; a text is required\n");
    CHECK(toy::findings("[pool.a]\n[[pool.a.listen]]\n") ==
          "F:2:1: pool.a.listen[0]: the key \"address\" is missing; a text is required\n"
          "F:2:1: pool.a.listen[0]: the key \"module\" is missing; a text is required\n");
}

TEST_CASE("pools: there is one, and it has a name") {
    CHECK(toy::findings("") == "F:1:1: no pool is configured; at least one is needed, such as [pool.main]\n");
    CHECK(toy::findings("\n[pool]").starts_with("F:2:2: no pool is configured"));
    CHECK(toy::findings("[pool.Main]") ==
          "F:1:7: pool.\"Main\": not a pool's name; one has 1 to 63 of the "
          "characters a to z, 0 to 9, '_' and '-'\n");
    CHECK(!toy::findings("[pool.\"\"]").empty());
    CHECK(!toy::findings("[pool." + std::string(64, 'a') + "]").empty());
    CHECK(toy::findings("[pool." + std::string(63, 'a') + "]").empty());
    CHECK(toy::findings("[pool.a-1_]").empty());
    std::string many;
    for (int index = 0; index < 65; ++index)
        many += "[pool.p" + std::to_string(index) + "]\n";
    CHECK(toy::findings(many) == "F:1:2: pool: 65 pools are too many; at most 64 are allowed\n");
}

TEST_CASE("modules are known, and named once") {
    CHECK(pool("modules = ['htp']") ==
          "F:2:12: pool.a.modules[0]: unknown module \"htp\"; did you mean \"http\"?\n");
    CHECK(pool("modules = ['echo', 'echo']") ==
          "F:2:20: pool.a.modules[1]: the module \"echo\" is named twice; once is enough\n");
    CHECK(toy::findings("[pool.a]\n[module.ecko]") ==
          "F:2:9: module: unknown module \"ecko\"; did you mean \"echo\"?\n");
    // Known, but used by no pool: allowed, and checked.
    CHECK(toy::findings("[pool.a]\n[module.echo]").empty());
    CHECK(toy::findings("[pool.a]\n[module.echo]\nmax_buffer = 1")
              .starts_with("F:3:14: module.echo.max_buffer: "));
    CHECK(pool("modules = ['bare']\n[module.bare]\nx = 1") == "F:4:1: module.bare: unknown key \"x\"\n");
}

TEST_CASE("listeners: address, module, mode, whole seconds") {
    CHECK(listener("").empty());
    CHECK(toy::findings(
              "[pool.a]\nmodules = ['echo']\n[[pool.a.listen]]\naddress = 'elsewhere:80'\nmodule = 'echo'")
              .starts_with("F:4:11: pool.a.listen[0].address: "));
    CHECK(toy::findings("[pool.a]\nmodules = ['echo']\n[[pool.a.listen]]\naddress = '*:1'\nmodule = 'ech'") ==
          "F:5:10: pool.a.listen[0].module: the pool does not have the module \"ech\"; did you mean "
          "\"echo\"?\n");
    CHECK(toy::findings("[pool.a]\n[[pool.a.listen]]\naddress = '*:1'\nmodule = 'echo'") ==
          "F:4:10: pool.a.listen[0].module: the pool does not have the module \"echo\"; its list of modules "
          "is empty\n");
    const auto of_mode = [](const std::string& mode) {
        return toy::findings(
            "[pool.a]\nmodules = ['echo']\n[[pool.a.listen]]\naddress = 'unix:a'\nmodule = 'echo'\n"
            "unix_mode = '" +
            mode + "'");
    };
    for (const char* mode : {"666", "0660", "0000"})
        CHECK(of_mode(mode).empty());
    for (const char* mode : {"0888", "rw-r", "1777", "66", "-666"})
        CHECK(of_mode(mode) == "F:6:13: pool.a.listen[0].unix_mode: \"" + std::string(mode) +
                                   "\" is not a mode; write octal digits, "
                                   "such as \"0660\"\n");
    CHECK(listener("defer_accept = '1500ms'") ==
          "F:6:16: pool.a.listen[0].defer_accept: 1500ms is not a whole "
          "number of seconds; the kernel counts in them\n");
    CHECK(listener("defer_accept = '2s'\nkeepalive_idle = '1m'\nkeepalive_interval = 'system'").empty());
    CHECK(listener("defer_accept = 'off'").empty());
    CHECK(listener("keepalive_count = 128").find("allowed: 1 to 127, or \"system\"") != std::string::npos);
}

TEST_CASE("two listeners on one address, in whatever pools and spellings") {
    const auto two = [](const char* first, const char* second) {
        return toy::findings(std::string("[pool.a]\nmodules = ['echo']\nlisten = [{ address = '") + first +
                             "', module = 'echo' }]\n[pool.b]\nmodules = ['echo']\nlisten = [{ address = '" +
                             second + "', module = 'echo' }]\n");
    };
    CHECK(two("127.0.0.1:80", "127.0.0.1:80") ==
          "F:6:23: pool.b.listen[0].address: a listener on 127.0.0.1:80 stands already at F:3:23; an address "
          "is "
          "listened on once\n");
    CHECK(two("[::1]:80", "[0:0::1]:80").find("stands already") != std::string::npos);
    CHECK(two("unix:a.sock", "unix:/etc/a.sock").find("stands already") != std::string::npos);
    CHECK(two("unix:a.sock", "unix:./b/../a.sock").find("stands already") != std::string::npos);
    CHECK(two("unix:a.sock", "unixgram:a.sock").find("stands already") != std::string::npos);
    CHECK(two("unix:@a", "unix:@a").find("stands already") != std::string::npos);
    CHECK(two("*:80", "[::ffff:127.0.0.1]:81").find("write \"127.0.0.1:81\"") != std::string::npos);
    CHECK(two("127.0.0.1:0", "127.0.0.1:0").empty());
    CHECK(two("127.0.0.1:80", "127.0.0.2:80").empty());
}

TEST_CASE("a module's own check has its say, with the place it names") {
    CHECK(http("[[module.http.route]]\npath = '/'\n[[module.http.route]]\npath = '/b'\nhandler = 'h'\n"
               "return = { body = 'x' }") ==
          "F:8:11: module.http.route[1].handler: not beside a fixed reply\n");

    const auto with_check = [](const char* text, std::function<void(const ImageNode&, Complaints&)> check) {
        std::vector<ModuleDeclaration> modules = toy::modules();
        modules[0].check = std::move(check);
        std::string lines;
        for (const std::string& line : check_document(parse_toml(text, "/f"), modules, nullptr).findings)
            lines += line + "\n";
        return lines;
    };
    const char* used = "[pool.a]\nmodules = ['http']\n[module.http]\nhosts = ['a', 'b']\n";
    const auto complain = [](const char* path) {
        return [path](const ImageNode&, Complaints& complaints) { complaints.add(path, "no"); };
    };
    CHECK(with_check(used, complain("")) == "/f:3:9: module.http: no\n");
    CHECK(with_check(used, complain("hosts[1]")) == "/f:4:15: module.http.hosts[1]: no\n");
    CHECK(with_check(used, complain("hosts[9]")) == "/f:4:9: module.http.hosts[9]: no\n");
    CHECK(with_check(used, complain("hosts[")) == "/f:4:9: module.http.hosts[: no\n");
    CHECK(with_check(used, complain("limits.body")) == "/f:3:9: module.http.limits.body: no\n");
    CHECK(with_check("[pool.a]\nmodules = ['http']", complain("gzip")) == "/f:2:12: module.http.gzip: no\n");
    CHECK(with_check("[pool.a]\n", complain("gzip")).empty());
    CHECK(with_check(used, [](const ImageNode&, Complaints&) { throw std::runtime_error("bad"); }) ==
          "/f:3:9: module.http: bad\n");
    CHECK(with_check(used, [](const ImageNode&, Complaints&) { throw 5; }) ==
          "/f:3:9: module.http: the module's check ended with an unknown exception\n");
    // It does not see what the declaration refuses, but sees it when others are wrong.
    CHECK(with_check("[pool.a]\nmodules = ['http']\n[module.http]\ngzip = 5", complain("")).find(": no") ==
          std::string::npos);
    CHECK(with_check("[pool.a]\nworkers = 0\nmodules = ['http']", complain("")).find(": no") !=
          std::string::npos);
}

TEST_CASE("a required key of a module without a section is missed where a pool asks for the module") {
    struct Strict {
        std::string_view token;
    };
    const auto options =
        Options<Strict>("Strict.").text("token", &Strict::token, {.required = true}, Apply::fresh, "T.");
    const std::vector<ModuleDeclaration> modules{{.name = "strict", .options = &options}};
    const Document document = parse_toml("[pool.a]\nmodules = ['strict']\n", "/f");
    CHECK(
        check_document(document, modules, nullptr).findings ==
        std::vector<std::string>{"/f:2:12: module.strict: the key \"token\" is missing; a text is required"});
}

TEST_CASE("every error is found, but at most a hundred are told") {
    const CheckedConfiguration checked = toy::check(
        "x = 1\n[master]\ny = 1\nlog_level = 5\n[pool.a]\nworkers = 0\n[module.echo]\nmax_buffer = 1\n");
    CHECK(checked.findings.size() == 5);
    CHECK(checked.image.empty());

    std::string many = "[pool.a]\n";
    for (int index = 0; index < 250; ++index)
        many += "key_" + std::to_string(index) + " = 1\n";
    const std::vector<std::string> findings = toy::check(many).findings;
    REQUIRE(findings.size() == 101);
    CHECK(findings.back() == "and 150 more");
}

TEST_CASE("a configuration that makes too large an image is one finding") {
    struct Large {
        std::string_view text;
    };
    const auto options = Options<Large>("Large.").text(
        "text", &Large::text, {.fallback = std::string(max_image_bytes, 'x'), .max_size = max_image_bytes},
        Apply::hot, "T.");
    const std::vector<ModuleDeclaration> modules{{.name = "large", .options = &options}};
    const Document document = parse_toml("[pool.a]\nmodules = ['large']\n", "/f");
    CHECK(check_document(document, modules, nullptr).findings ==
          std::vector<std::string>{"/f: the configuration is too large"});
}

TEST_CASE("a key that needs a restart cannot be reloaded") {
    const std::vector<std::byte> bytes = toy::check("[pool.a]\n").image;
    const Image running = Image::view(bytes);
    const std::string text = "[pool.a]\nworkers = 3\n[master]\nruntime_dir = 'other'\n";
    CHECK(toy::findings(text).empty());
    CHECK(toy::findings(text, &running) ==
          "F:4:15: master.runtime_dir: a reload cannot change it (\"run\" -> \"other\" (restart)); set it "
          "back, or "
          "stop the master and start it again\n");
    const CheckedConfiguration refused = toy::check(text, &running);
    CHECK(refused.image.empty());
    CHECK(refused.difference.change == Change::restart);
    CHECK(toy::findings("[pool.a]\n[master]\nruntime_dir = 'run'\n", &running).empty());
}

TEST_CASE("configured_user looks at one key and complains of nothing") {
    const auto user = [](const char* text) { return configured_user(parse_toml(text, "/f")); };
    CHECK(user("[master]\nuser = 'www'") == "www");
    CHECK(user("[master]\nuser = 5") == "");
    CHECK(user("master = 5") == "");
    CHECK(user("") == "");
}
