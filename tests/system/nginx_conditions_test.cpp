// Preconditions, ranges and codings of files, compared with nginx where it is installed: what both take the
// RFC's way must be the same.
#include "tests/support/child.h"
#include "tests/support/http_client.h"
#include "tests/support/master_under_test.h"
#include "tests/support/skipped.h"

#include <chrono>
#include <csignal>
#include <exception>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include <doctest/doctest.h>

namespace drover::test {
namespace {

const std::string nginx_program = "/usr/sbin/nginx";

std::string nginx_config(const std::string& folder, std::uint16_t port) {
    std::string paths;
    for (const char* const kind : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"})
        paths += std::string(kind) + "_temp_path " + folder + "/" + kind + ";\n";
    return "daemon off;\nmaster_process off;\npid " + folder + "/nginx.pid;\nerror_log " + folder +
           "/error.log;\nevents {}\nhttp {\naccess_log off;\n" + paths +
           "server {\nlisten 127.0.0.1:" + std::to_string(port) + ";\nroot " + folder +
           "/public;\ngzip_static on;\ngzip_vary on;\n}\n}\n";
}

struct Answer {
    std::string head;
    std::string body = {};

    int status() const { return std::stoi(head.substr(9, 3)); }
    std::string value_of(const std::string& name) const {
        const std::size_t at = head.find("\r\n" + name + ": ");
        if (at == std::string::npos) return "";
        const std::size_t begin = at + name.size() + 4;
        return head.substr(begin, head.find("\r\n", begin) - begin);
    }
    // What the two are compared by: status, coding, range, and the body of what is no error.
    std::string essence() const {
        std::string text = std::to_string(status()) + "|" + value_of("Content-Encoding") + "|" +
                           value_of("Content-Range") + "|";
        return status() < 400 ? text + body : text;
    }
};

Answer ask_with(std::uint16_t port, const std::string& lines, const std::string& host = "a") {
    StreamClient client = StreamClient::connect_tcp(port);
    client.send("GET /files/a.txt HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n" + lines + "\r\n");
    Answer answer{.head = client.read_until("\r\n\r\n")};
    answer.body = client.read_to_end();
    return answer;
}

}  // namespace

TEST_CASE("conditions, ranges and codings of files are answered as nginx answers them") {
    if (lacks_program("nginx")) return;
    TestConfig config{.rest =
                          "[[module.http.route]]\npath = \"/files/\"\nroot = \"public/files\"\n"
                          "precompressed = true\n"};
    MasterUnderTest master(
        config, {.prepare = [](MasterUnderTest& starting) {
            const TemporaryFolder& folder = starting.folder();
            std::filesystem::create_directories(folder.file("public/files"));
            // A file that was written just now has a weak tag.
            const auto yesterday = std::filesystem::file_time_type::clock::now() - std::chrono::hours(24);
            for (const auto& [name, text] : {std::pair("public/files/a.txt", "0123456789"),
                                             std::pair("public/files/a.txt.gz", "compressed as it were")}) {
                write_file(folder.file(name), text);
                std::filesystem::last_write_time(folder.file(name), yesterday);
            }
        }});
    const std::string folder = master.folder().file("");
    const ReservedPort port;
    write_file(master.folder().file("nginx.conf"), nginx_config(folder, port.number()));
    Child nginx =
        Child::start({nginx_program, "-c", master.folder().file("nginx.conf"), "-e", folder + "/error.log"});
    const auto listens = [&port] {
        try {
            return ask_with(port.number(), "").status() == 200;
        } catch (const std::exception&) {
            return false;
        }
    };
    for (const Deadline deadline; !listens();)
        REQUIRE_FALSE(deadline.passed());
    const std::string gzip = "Accept-Encoding: gzip\r\n";
    for (const std::string& lines : {std::string(), gzip}) {
        const std::string our_tag = ask_with(master.http_port(), lines).value_of("ETag");
        const std::string their_tag = ask_with(port.number(), lines).value_of("ETag");
        const std::string date = ask_with(port.number(), lines).value_of("Last-Modified");
        const std::string later = "Sat, 01 Jan 2101 00:00:00 GMT";
        const std::string earlier = "Thu, 01 Jan 1981 00:00:00 GMT";
        for (const std::string condition : {"",
                                            "If-None-Match: TAG\r\n",
                                            "If-None-Match: *\r\n",
                                            "If-None-Match: \"x\", W/TAG\r\n",
                                            "If-None-Match: \"x\"\r\n",
                                            "If-Match: TAG\r\n",
                                            "If-Match: \"x\"\r\n",
                                            "If-Match: *\r\n",
                                            "If-Match: \"x\", TAG\r\n",
                                            "If-Modified-Since: DATE\r\n",
                                            "If-Unmodified-Since: EARLIER\r\n",
                                            "If-Unmodified-Since: LATER\r\n",
                                            "If-None-Match: \"x\"\r\nIf-Modified-Since: DATE\r\n",
                                            "If-Match: \"x\"\r\nIf-None-Match: TAG\r\n",
                                            "If-Match: TAG\r\nIf-None-Match: TAG\r\n",
                                            "Range: bytes=0-2\r\n",
                                            "Range: bytes=-3\r\n",
                                            "Range: bytes=100-\r\n",

                                            "Range: lines=1-2\r\n",
                                            "Range: bytes=0-2\r\nIf-Range: TAG\r\n",
                                            "Range: bytes=0-2\r\nIf-Range: \"x\"\r\n",
                                            "Range: bytes=0-2\r\nIf-Range: DATE\r\n",
                                            "Range: bytes=0-2\r\nIf-None-Match: TAG\r\n",
                                            "Range: bytes=0-2\r\nIf-Match: \"x\"\r\n",
                                            "Range: bytes=100-\r\nIf-Match: \"x\"\r\n"}) {
            const auto filled = [&](const std::string& tag) {
                std::string text = condition;
                for (const auto& [word, value] : {std::pair<std::string, std::string>{"TAG", tag},
                                                  {"DATE", date},
                                                  {"EARLIER", earlier},
                                                  {"LATER", later}}) {
                    for (std::size_t at; (at = text.find(word)) != std::string::npos;)
                        text.replace(at, word.size(), value);
                }
                return lines + text;
            };
            CAPTURE(lines);
            CAPTURE(condition);
            // nginx serves no parts of compressed files.
            if (!lines.empty() && condition.starts_with("Range: bytes")) continue;
            CHECK(ask_with(master.http_port(), filled(our_tag)).essence() ==
                  ask_with(port.number(), filled(their_tag)).essence());
        }
    }
    for (const char* const host : {"a.", "a..", ".", "a..b", "a.b.:80", "a:", "a:65535", ""}) {
        CAPTURE(host);
        CHECK(ask_with(master.http_port(), "", host).status() == ask_with(port.number(), "", host).status());
    }
    // nginx reads no port, and lets a name begin with a dot (1.22).
    for (const char* const host : {".a", "a:0", "a:65536", "a:99999"}) {
        CAPTURE(host);
        CHECK(ask_with(master.http_port(), "", host).status() == 400);
        CHECK(ask_with(port.number(), "", host).status() == 200);
    }
    nginx.signal(SIGTERM);
    CHECK(nginx.wait_exit().code == 0);
    master.finish();
}

}  // namespace drover::test
