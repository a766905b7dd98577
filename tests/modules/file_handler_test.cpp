// Files as replies, over real connections.
#include "modules/http/file_handler.h"

#include "core/base/system_error.h"
#include "modules/http/directory_listing.h"
#include "modules/http/http_date.h"
#include "tests/modules/http_server_fixture.h"
#include "tests/support/temporary_folder.h"

#include <ctime>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

using namespace drover;
using namespace drover::test;
namespace fs = std::filesystem;

namespace {

void set_time(const std::string& path, std::time_t second, long nanosecond = 0) {
    const timespec times[] = {{second, nanosecond}, {second, nanosecond}};
    check_call(::utimensat(AT_FDCWD, path.c_str(), times, 0), "utimensat");
}

// A folder with "public" in it, which is what is served, and a secret beside it.
struct Site {
    Site() {
        fs::create_directories(root() + "/sub/deep");
        write("secret", "secret");
        write("public/a.txt", "0123456789");
        write("public/index.html", "<p>");
        write("public/sub/b.json", "{}");
    }
    std::string root() const { return folder.file("public"); }
    void write(const std::string& name, const std::string& contents) const {
        std::ofstream(folder.file(name.c_str())) << contents;
    }
    std::string routes(const std::string& more = "") const {
        return "[[module.http.route]]\npath = \"/\"\nroot = \"" + root() + "\"\n" + more +
               "[[module.http.route]]\npath = \"/files/\"\nroot = \"" + root() + "\"\nindex = \"\"\n";
    }
    TemporaryFolder folder;
};

struct FileServer : Server {
    explicit FileServer(const Site& site, const std::string& more = "", const std::string& options = "")
        : Server("[module.http]\n" + options + site.routes(more)) {}
};

std::string ask(Server& server, const std::string& target, const std::string& lines = "",
                const std::string& method = "GET") {
    return exchange_to_end(
        server, method + " " + target + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + lines + "\r\n");
}

int status_of(Server& server, const std::string& target, const std::string& lines = "") {
    return std::stoi(ask(server, target, lines).substr(9, 3));
}

std::string field_of(const std::string& reply, const std::string& name) {
    const std::size_t at = reply.find("\r\n" + name + ": ");
    if (at == std::string::npos) return "none";
    const std::size_t begin = at + name.size() + 4;
    return reply.substr(begin, reply.find("\r\n", begin) - begin);
}

std::string body_of(const std::string& reply) {
    return reply.substr(reply.find("\r\n\r\n") + 4);
}

}  // namespace

TEST_CASE("a file comes with its type, length, date and tag") {
    const Site site;
    FileServer server(site);
    const std::string reply = ask(server, "/a.txt");
    CHECK(reply.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n"));
    CHECK(field_of(reply, "Accept-Ranges") == "bytes");
    CHECK(http::parse_date(field_of(reply, "Last-Modified")));
    CHECK(field_of(reply, "ETag").size() > 10);
    CHECK(body_of(reply) == "0123456789");
    CHECK(body_of(ask(server, "/a.txt", "", "HEAD")).empty());
    CHECK(field_of(ask(server, "/a.txt", "", "HEAD"), "Content-Length") == "10");
    CHECK(field_of(ask(server, "/sub/b.json"), "Content-Type") == "application/json");
    CHECK(body_of(ask(server, "/files/sub/b.json?x=y")) == "{}");
    CHECK(body_of(ask(server, "/sub/../%61.txt")) == "0123456789");
    CHECK(ask(server, "/a.txt", "Content-Length: 0\r\n", "POST").find("Allow: GET, HEAD\r\n") !=
          std::string::npos);
    CHECK(status_of(server, "/missing") == 404);
    CHECK(status_of(server, "/a.txt/") == 404);
    CHECK(status_of(server, "/a.txt/b") == 404);
    CHECK(status_of(server, "/" + std::string(300, 'x')) == 404);
}

TEST_CASE("an empty file and a large one arrive whole") {
    const Site site;
    site.write("public/empty", "");
    const std::string large = std::string(3'000'000, 'l') + "end";
    site.write("public/large", large);
    FileServer server(site);
    CHECK(ask(server, "/empty").ends_with("Connection: close\r\n\r\n"));
    CHECK(body_of(ask(server, "/large")) == large);
    CHECK(field_of(ask(server, "/large"), "Content-Type") == "application/octet-stream");
}

TEST_CASE("conditions are answered by what the file is") {
    const Site site;
    FileServer server(site);
    const std::string reply = ask(server, "/a.txt");
    const std::string tag = field_of(reply, "ETag");
    const std::string not_modified = ask(server, "/a.txt", "If-None-Match: " + tag + "\r\n");
    CHECK(not_modified.starts_with("HTTP/1.1 304 Not Modified\r\nLast-Modified: "));
    CHECK(field_of(not_modified, "ETag") == tag);
    CHECK(field_of(not_modified, "Content-Length") == "none");
    CHECK(body_of(not_modified).empty());
    CHECK(status_of(server, "/a.txt", "If-Modified-Since: " + field_of(reply, "Last-Modified") + "\r\n") ==
          304);
    CHECK(status_of(server, "/a.txt", "If-Match: \"x\"\r\n") == 412);
}

TEST_CASE("one range and several") {
    const Site site;
    FileServer server(site);
    const std::string one = ask(server, "/a.txt", "Range: bytes=2-4\r\n");
    CHECK(
        one.starts_with("HTTP/1.1 206 Partial Content\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n"));
    CHECK(field_of(one, "Content-Range") == "bytes 2-4/10");
    CHECK(body_of(one) == "234");
    const std::string none = ask(server, "/a.txt", "Range: bytes=10-\r\n");
    CHECK(none.starts_with("HTTP/1.1 416 "));
    CHECK(field_of(none, "Content-Range") == "bytes */10");
    const std::string two = ask(server, "/a.txt", "Range: bytes=0-1,-2\r\n");
    const std::string type = field_of(two, "Content-Type");
    REQUIRE(type.starts_with("multipart/byteranges; boundary="));
    const std::string boundary = "--" + type.substr(type.find('=') + 1);
    const std::string head = "\r\nContent-Type: text/plain\r\nContent-Range: bytes ";
    CHECK(body_of(two) == "\r\n" + boundary + head + "0-1/10\r\n\r\n01\r\n" + boundary + head +
                              "8-9/10\r\n\r\n89\r\n" + boundary + "--\r\n");
    CHECK(field_of(two, "Content-Length") == std::to_string(body_of(two).size()));
    CHECK(status_of(server, "/a.txt", "Range: bytes=0-1\r\nIf-Range: \"x\"\r\n") == 200);
}

TEST_CASE("nothing outside of the root can be had, and nothing that is no file") {
    const Site site;
    fs::create_symlink("../secret", site.root() + "/out");
    fs::create_symlink(site.folder.file("secret"), site.root() + "/absolute");
    fs::create_symlink("..", site.root() + "/up");
    fs::create_symlink("a.txt", site.root() + "/inside");
    fs::create_symlink("/dev/zero", site.root() + "/zero");
    fs::create_symlink("loop", site.root() + "/loop");
    REQUIRE(::mkfifo((site.root() + "/fifo").c_str(), 0666) == 0);
    FileServer server(site);
    for (const char* target :
         {"/../secret", "/%2e%2e/secret", "/..%2fsecret", "/sub/../../secret", "/a%00.txt"}) {
        CAPTURE(target);
        CHECK(status_of(server, target) == 400);
    }
    for (const char* target : {"/out", "/absolute", "/up/secret", "/up/public/a.txt", "/zero", "/loop",
                               "/fifo", "/out/", "/files/out", "/sub/...", "/sub\\..\\a.txt"}) {
        CAPTURE(target);
        CHECK(status_of(server, target) == 404);
    }
    CHECK(body_of(ask(server, "/inside")) == "0123456789");
}

TEST_CASE("without openat2 no link is followed, and the rest is as with it") {
    const Site site;
    fs::create_symlink("../secret", site.root() + "/out");
    fs::create_symlink("a.txt", site.root() + "/inside");
    fs::create_symlink("sub", site.root() + "/folder");
    http::FileRoot root(site.root());
    root.forget_openat2();
    CHECK(root.open("a.txt"));
    CHECK(root.open("sub/b.json"));
    CHECK(root.open("sub/"));
    CHECK(root.open(""));
    for (const char* name :
         {"out", "inside", "folder/b.json", "../secret", "sub/../../secret", "a.txt/", "none/b", "a.txt/b"}) {
        CAPTURE(name);
        CHECK_FALSE(root.open(name));
    }
    CHECK_FALSE(root.open(std::string(300, 'x')));
}

TEST_CASE("a directory is its index, a listing, or nothing") {
    const Site site;
    site.write("public/sub/<x> & \"y\"", "");
    site.write("public/sub/.hidden", "");
    FileServer server(site);
    CHECK(body_of(ask(server, "/")) == "<p>");
    CHECK(field_of(ask(server, "/"), "Content-Type") == "text/html");
    CHECK(status_of(server, "/sub/") == 404);
    CHECK(status_of(server, "/files/") == 404);
    const std::string moved = ask(server, "/sub/../sub?q");
    CHECK(moved.starts_with("HTTP/1.1 301 "));
    CHECK(field_of(moved, "Location") == "/sub/?q");

    FileServer listing(site, "listing = true\n");
    const std::string page = ask(listing, "/sub/");
    CHECK(field_of(page, "Content-Type") == "text/html; charset=utf-8");
    CHECK(page.find("<h1>/sub/</h1>\n<table>\n") != std::string::npos);
    CHECK(page.find("<a href=\"../\">../</a></td><td></td><td></td></tr>\n"
                    "<tr><td><a href=\"./%3Cx%3E%20%26%20%22y%22\">&lt;x&gt; &amp; "
                    "&quot;y&quot;</a></td><td>0</td>") != std::string::npos);
    CHECK(page.find("hidden") == std::string::npos);
    CHECK(body_of(ask(listing, "/")) == "<p>");
}

TEST_CASE("a listing shows size and time in order, and nothing of what a link leads to") {
    const Site site;
    site.write("public/sub/deep/inside", "");
    set_time(site.root() + "/sub/b.json", 951'782'400);  // 2000-02-29
    set_time(site.root() + "/sub/deep", 951'782'400);
    fs::create_symlink("../../secret", site.root() + "/sub/a-link");
    FileServer server(site, "listing = true\n");
    const std::string page = ask(server, "/sub/");
    CHECK(
        page.find("<tr><td><a href=\"./a-link\">a-link</a></td><td></td><td></td></tr>\n"
                  "<tr><td><a href=\"./b.json\">b.json</a></td><td>2</td><td>2000-02-29 00:00:00</td></tr>\n"
                  "<tr><td><a href=\"./deep/\">deep/</a></td><td></td><td>2000-02-29 00:00:00</td></tr>\n"
                  "</table>\n</body>") != std::string::npos);
}

TEST_CASE("a listing of many names has the first, and says how many it leaves out") {
    const Site site;
    for (std::size_t index = 0; index < http::max_listed_names + 3; ++index)
        site.write("public/sub/deep/" + std::to_string(10'000 + index), "");
    FileServer server(site, "listing = true\n");
    const std::string page = ask(server, "/sub/deep/");
    CHECK(occurrences(page, "<a href=\"./1") == http::max_listed_names);
    CHECK(page.find("./10000\"") != std::string::npos);
    CHECK(page.find("./" + std::to_string(10'000 + http::max_listed_names - 1)) != std::string::npos);
    CHECK(page.find("./" + std::to_string(10'000 + http::max_listed_names)) == std::string::npos);
    CHECK(page.find("<p>3 more names are left out.</p>") != std::string::npos);
}

TEST_CASE("a compressed file that is older than its file, or empty, is not used") {
    const Site site;
    const std::string file = site.root() + "/sub/b.json";
    site.write("public/sub/b.json.gz", "not really gzip");
    FileServer server(site, "precompressed = true\n", "open_files_check = 0\n");
    const auto is_compressed = [&](const char* target = "/sub/b.json") {
        return field_of(ask(server, target, "Accept-Encoding: gzip\r\n"), "Content-Encoding") == "gzip";
    };
    const auto set_both = [&](const timespec& plain, const timespec& compressed) {
        set_time(file, plain.tv_sec, plain.tv_nsec);
        set_time(file + ".gz", compressed.tv_sec, compressed.tv_nsec);
    };
    set_both({1'700'000'000, 0}, {1'700'000'001, 0});
    CHECK(is_compressed());
    set_both({1'700'000'000, 5}, {1'700'000'000, 5});
    CHECK(server.run_until([&] { return is_compressed(); }));
    set_both({1'700'000'000, 5}, {1'700'000'000, 0});  // copied without what is below a second
    CHECK(server.run_until([&] { return is_compressed(); }));
    set_both({1'700'000'000, 5}, {1'700'000'000, 4});
    CHECK(server.run_until([&] { return !is_compressed(); }));
    CHECK(body_of(ask(server, "/sub/b.json", "Accept-Encoding: gzip\r\n")) == "{}");
    set_both({1'700'000'001, 0}, {1'700'000'000, 999});
    CHECK_FALSE(is_compressed());
    site.write("public/sub/b.json.gz", "");
    CHECK_FALSE(is_compressed());
    site.write("public/sub.gz", "of a directory");
    CHECK(ask(server, "/sub", "Accept-Encoding: gzip\r\n").starts_with("HTTP/1.1 301 "));
}

TEST_CASE("files without a time that means anything are told apart by their contents") {
    const Site site;
    const std::string file = site.root() + "/a.txt";
    const auto replace = [&](const std::string& contents, std::time_t time) {
        site.write("public/new", contents);
        set_time(site.root() + "/new", time);
        fs::rename(site.root() + "/new", file);
    };
    FileServer server(site, "", "open_files_check = 0\n");
    for (const std::time_t time : {std::time_t{1}, std::time(nullptr) + 86400}) {
        replace("version 1", time);
        REQUIRE(server.run_until([&] { return body_of(ask(server, "/a.txt")) == "version 1"; }));
        const std::string first = ask(server, "/a.txt");
        const std::string tag = field_of(first, "ETag");
        CHECK(tag.starts_with("\""));
        CHECK(field_of(first, "Last-Modified") == "none");
        CHECK(status_of(server, "/a.txt", "If-None-Match: " + tag + "\r\n") == 304);
        CHECK(status_of(server, "/a.txt", "If-Modified-Since: " + http::format_date(time) + "\r\n") == 200);
        CHECK(status_of(server, "/a.txt", "Range: bytes=0-1\r\nIf-Range: " + tag + "\r\n") == 206);

        replace("version 2", time);
        const std::string lines = "If-None-Match: " + tag + "\r\n";
        CHECK(server.run_until([&] { return status_of(server, "/a.txt", lines) == 200; }));
        CHECK(status_of(server, "/a.txt", "Range: bytes=0-1\r\nIf-Range: " + tag + "\r\n") == 200);
        replace("version 1", time);
        CHECK(server.run_until([&] { return status_of(server, "/a.txt", lines) == 304; }));
    }
}

TEST_CASE("two versions of one time and size are told apart, across a reload, too") {
    const Site site;
    const std::string file = site.root() + "/a.txt";
    const std::time_t time = 1'700'000'000;
    set_time(file, time);
    FileServer server(site, "", "open_files_check = 0\n");
    const std::string first = ask(server, "/a.txt");
    const std::string tag = field_of(first, "ETag");
    CHECK(tag.starts_with("\""));
    const std::string since = "If-Modified-Since: " + field_of(first, "Last-Modified") + "\r\n";
    CHECK(status_of(server, "/a.txt", since) == 304);
    site.write("public/new", "9876543210");
    set_time(site.root() + "/new", time);
    fs::rename(site.root() + "/new", file);
    CHECK(server.run_until(
        [&] { return status_of(server, "/a.txt", "If-None-Match: " + tag + "\r\n") == 200; }));
    CHECK(status_of(server, "/a.txt", since) == 200);
    const std::string second_tag = field_of(ask(server, "/a.txt"), "ETag");
    CHECK(second_tag != tag);
    CHECK(status_of(server, "/a.txt", "If-None-Match: " + second_tag + "\r\n") == 304);

    EventLoop loop;
    http::HttpOptions options = http::HttpOptions::options().load({});
    const http::FileRoot root(site.root());
    auto before = std::make_unique<http::OpenFiles>(loop, options);
    const std::string old_tag = before->find(root, "a.txt").file->validators.etag;
    fs::copy_file(file, site.root() + "/copy");
    set_time(site.root() + "/copy", time);
    fs::rename(site.root() + "/copy", file);
    http::OpenFiles after(loop, options, before.get());
    before.reset();
    CHECK(after.find(root, "a.txt").file->validators.etag != old_tag);
}

TEST_CASE("a file that was written just now has a weak tag, and a strong one later") {
    const Site site;
    FileServer server(site, "", "open_files_check = 0\n");
    set_time(site.root() + "/a.txt", std::time(nullptr));
    const std::string young = field_of(ask(server, "/a.txt"), "ETag");
    REQUIRE(young.starts_with("W/\""));
    CHECK(status_of(server, "/a.txt", "Range: bytes=0-1\r\nIf-Range: " + young + "\r\n") == 200);
    CHECK(status_of(server, "/a.txt", "If-Match: " + young + "\r\n") == 412);
    CHECK(server.run_until([&] { return field_of(ask(server, "/a.txt"), "ETag") == young.substr(2); }));
    CHECK(status_of(server, "/a.txt", "If-None-Match: " + young + "\r\n") == 304);
}

TEST_CASE("a compressed file goes to who accepts it") {
    const Site site;
    site.write("public/sub/b.json.gz", "not really gzip");
    FileServer server(site, "precompressed = true\n");
    const std::string compressed = ask(server, "/sub/b.json", "Accept-Encoding: br, gzip\r\n");
    CHECK(field_of(compressed, "Content-Encoding") == "gzip");
    CHECK(field_of(compressed, "Content-Type") == "application/json");
    CHECK(field_of(compressed, "Vary") == "Accept-Encoding");
    CHECK(body_of(compressed) == "not really gzip");
    for (const char* lines : {"", "Accept-Encoding: gzip;q=0\r\n"}) {
        const std::string plain = ask(server, "/sub/b.json", lines);
        CHECK(field_of(plain, "Content-Encoding") == "none");
        CHECK(field_of(plain, "Vary") == "Accept-Encoding");
        CHECK(body_of(plain) == "{}");
    }
    CHECK(body_of(ask(server, "/a.txt", "Accept-Encoding: gzip\r\n")) == "0123456789");
}

TEST_CASE("a refusal is plain text, and 304 says no more than a cache needs, where files are compressed") {
    const Site site;
    site.write("public/sub/b.json.gz", "not really gzip");
    FileServer server(site, "precompressed = true\n");
    const std::string gzip = "Accept-Encoding: gzip\r\n";
    const std::string whole = ask(server, "/sub/b.json", gzip);
    REQUIRE(field_of(whole, "Content-Encoding") == "gzip");
    const std::string tag = field_of(whole, "ETag");
    const std::string part = ask(server, "/sub/b.json", gzip + "Range: bytes=0-2\r\n");
    CHECK(part.starts_with("HTTP/1.1 206 "));
    CHECK(field_of(part, "Content-Encoding") == "gzip");
    CHECK(field_of(part, "Accept-Ranges") == "bytes");
    CHECK(body_of(part) == "not");

    const std::string failed = ask(server, "/sub/b.json", gzip + "If-Match: \"x\"\r\n");
    CHECK(failed.starts_with("HTTP/1.1 412 "));
    CHECK(body_of(failed) == "412 Precondition Failed\n");
    const std::string behind = ask(server, "/sub/b.json", gzip + "Range: bytes=100-\r\n");
    CHECK(behind.starts_with("HTTP/1.1 416 "));
    CHECK(field_of(behind, "Content-Range") == "bytes */15");
    CHECK(body_of(behind) == "416 Range Not Satisfiable\n");
    const std::string same = ask(server, "/sub/b.json", gzip + "If-None-Match: " + tag + "\r\n");
    CHECK(same.starts_with("HTTP/1.1 304 "));
    CHECK(field_of(same, "ETag") == tag);
    CHECK(field_of(same, "Last-Modified") == field_of(whole, "Last-Modified"));
    for (const std::string& reply : {failed, behind}) {
        CHECK(field_of(reply, "ETag") == "none");
        CHECK(field_of(reply, "Last-Modified") == "none");
        CHECK(field_of(reply, "Content-Type") == "text/plain");
    }
    for (const std::string& reply : {failed, behind, same}) {
        CHECK(field_of(reply, "Content-Encoding") == "none");
        CHECK(field_of(reply, "Accept-Ranges") == "none");
        CHECK(field_of(reply, "Vary") == "Accept-Encoding");
    }
    // Several lines are one list here, too.
    CHECK(ask(server, "/sub/b.json", gzip + "If-None-Match: \"x\"\r\nIf-None-Match: " + tag + "\r\n")
              .starts_with("HTTP/1.1 304 "));
    const std::string refused =
        ask(server, "/sub/b.json", "Accept-Encoding: *\r\nAccept-Encoding: gzip;q=0\r\n");
    CHECK(field_of(refused, "Content-Encoding") == "none");
}

TEST_CASE("an open file is looked at again after its time, and the configured types win") {
    const Site site;
    SUBCASE("not before") {
        FileServer server(site, "",
                          "open_files_check = \"1h\"\ntypes = [\"txt text/x-mine; charset=utf-8\"]\n");
        CHECK(field_of(ask(server, "/a.txt"), "Content-Type") == "text/x-mine; charset=utf-8");
        fs::rename(site.root() + "/index.html", site.root() + "/a.txt");
        CHECK(body_of(ask(server, "/a.txt")) == "0123456789");
    }
    SUBCASE("at once, when it has none, or none are kept") {
        const char* options = "open_files = 0\n";
        SUBCASE("no time") {
            options = "open_files_check = 0\n";
        }
        FileServer server(site, "", options);
        CHECK(body_of(ask(server, "/a.txt")) == "0123456789");
        site.write("public/new", "changed");
        fs::rename(site.root() + "/new", site.root() + "/a.txt");
        // Within the same millisecond it may still be the old one.
        REQUIRE(server.run_until([&] { return body_of(ask(server, "/a.txt")) == "changed"; }));
        fs::remove(site.root() + "/a.txt");
        REQUIRE(server.run_until([&] { return status_of(server, "/a.txt") == 404; }));
    }
}

TEST_CASE("no more files are kept open than may be") {
    const Site site;
    for (int index = 0; index < 20; ++index)
        site.write("public/file" + std::to_string(index), std::to_string(index));
    http::HttpOptions options;
    options.open_files = 5;
    options.open_files_check_ms = 3'600'000;
    EventLoop loop;
    http::OpenFiles files(loop, options);
    const http::FileRoot root(site.root());
    for (int round = 0; round < 2; ++round) {
        for (int index = 0; index < 20; ++index) {
            REQUIRE(files.find(root, "file" + std::to_string(index)).file != nullptr);
            CHECK(files.size() <= 5);
        }
    }
    const auto first = files.find(root, "file19").file;
    CHECK(files.find(root, "file0").file != nullptr);
    CHECK(files.find(root, "file19").file == first);
    CHECK(files.find(root, "none").error == ENOENT);
    CHECK(files.find(root, "sub").is_directory);
}

TEST_CASE("a root that is not there is a finding") {
    const Site site;
    fs::remove_all(site.root());
    CHECK_THROWS_WITH(FileServer server(site), doctest::Contains("module.http.route[0].root: \""));
}

TEST_CASE("a root is looked up again: a swapped link, a folder that goes and comes back") {
    const Site site;
    site.write("public/a.txt", "first");
    fs::create_directory(site.folder.file("second"));
    site.write("second/a.txt", "second");
    const std::string link = site.folder.file("current");
    const auto point_to = [&](const std::string& target) {
        fs::create_symlink(target, link + ".new");
        fs::rename(link + ".new", link);
    };
    point_to("public");
    Server server("[module.http]\nopen_files_check = 0\n[[module.http.route]]\npath = \"/\"\nroot = \"" +
                  link + "\"\n");
    const auto answers = [&](const std::string& body) {
        return server.run_until([&] { return body_of(ask(server, "/a.txt")) == body; });
    };
    CHECK(answers("first"));
    point_to("second");
    CHECK(answers("second"));
    fs::rename(site.folder.file("second"), site.folder.file("away"));
    CHECK(server.run_until([&] { return status_of(server, "/a.txt") == 404; }));
    CHECK(status_of(server, "/") == 404);
    fs::rename(site.folder.file("away"), site.folder.file("second"));
    CHECK(answers("second"));
    fs::remove(link);
    CHECK(server.run_until([&] { return status_of(server, "/a.txt") == 404; }));
    point_to("public");
    CHECK(answers("first"));
}

TEST_CASE("files of a root that is another now are kept open no longer") {
    const Site site;
    EventLoop loop;
    http::HttpOptions options = http::HttpOptions::options().load({});
    options.open_files_check_ms = 0;
    http::OpenFiles files(loop, options);
    http::FileRoot root(site.root());
    const http::FileRoot other(site.root() + "/sub", "other");
    REQUIRE(files.find(root, "a.txt").file != nullptr);
    REQUIRE(files.find(other, "b.json").file != nullptr);
    CHECK_FALSE(root.look_again());
    fs::rename(site.root(), site.folder.file("away"));
    CHECK(root.look_again());
    files.forget(root);
    CHECK(files.size() == 1);
    CHECK(files.find(root, "a.txt").error == ENOENT);
    fs::rename(site.folder.file("away"), site.root());
    CHECK(root.look_again());
    CHECK(files.find(root, "a.txt").file != nullptr);
}

TEST_CASE("the size that is promised is the size that can be sent") {
    const Site site;
    const std::string large(200'000, 'l');
    FileServer server(site, "", "open_files_check = \"1h\"\n");
    for (const std::string& before : {std::string("0123456789"), large}) {
        site.write("public/a.txt", before);
        CHECK(body_of(ask(server, "/a.txt")) == before);
        const std::string tag = field_of(ask(server, "/a.txt"), "ETag");
        site.write("public/a.txt", "short");  // in place
        const std::string reply = ask(server, "/a.txt");
        CHECK(field_of(reply, "Content-Length") == "5");
        CHECK(field_of(reply, "ETag") != tag);
        CHECK(body_of(reply) == "short");
    }
    site.write("public/a.txt", large);
    CHECK(body_of(ask(server, "/a.txt")) == large);
    site.write("public/a.txt", "");
    CHECK(field_of(ask(server, "/a.txt"), "Content-Length") == "0");
    CHECK(status_of(server, "/a.txt", "Range: bytes=0-1,-2\r\n") == 416);
}

TEST_CASE("a reload empties the cache once, however many routes look") {
    const Site site;
    EventLoop loop;
    const http::HttpOptions options = http::HttpOptions::options().load({});
    http::OpenFiles files(loop, options);
    const http::FileRoot root(site.root());
    REQUIRE(files.find(root, "a.txt").file != nullptr);
    files.follow(1);
    CHECK(files.size() == 0);
    REQUIRE(files.find(root, "a.txt").file != nullptr);
    files.follow(1);
    CHECK(files.size() == 1);
    files.follow(2);
    CHECK(files.size() == 0);
}
