// The control socket against callers of every kind.
#include "tests/support/master_under_test.h"
#include "tests/support/proc.h"
#include "tests/support/skipped.h"

#include <cstring>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

namespace drover::test {
namespace {

constexpr uid_t nobody = 65534;

void send_with_fds(int socket, std::string text, const std::vector<int>& fds) {
    iovec part{text.data(), text.size()};
    std::vector<char> control(CMSG_SPACE(fds.size() * sizeof(int)));
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size() * sizeof(int));
    REQUIRE(sendmsg(socket, &message, MSG_NOSIGNAL) > 0);
}

}  // namespace

TEST_CASE("the socket is for its owner alone") {
    MasterUnderTest master;
    struct stat info {};
    REQUIRE(stat(master.control_path().c_str(), &info) == 0);
    CHECK(S_ISSOCK(info.st_mode));
    CHECK((info.st_mode & 0777) == 0600);
    master.finish();
}

TEST_CASE("another user is refused and logged, however the permissions stand") {
    if (lacks_root()) return;
    MasterUnderTest master;
    for (const std::string& path : {master.folder().path(), master.runtime_dir()})
        REQUIRE(chmod(path.c_str(), 0755) == 0);
    CHECK(master.cli({"status"}, {.user = nobody}).code() == 1);
    REQUIRE(chmod(master.control_path().c_str(), 0666) == 0);
    CHECK(master.cli({"status"}, {.user = nobody}).code() == 1);
    CHECK(master.cli({"stop"}, {.user = nobody}).code() == 1);
    master.wait_output("65534");
    CHECK(master.status().serving(2));
    master.finish();
}

TEST_CASE("garbage is answered with an error or dropped, and the next caller is served") {
    MasterUnderTest master;
    const std::size_t fds = count_fds_of(master.pid());
    const std::string many_opened(60000, '[');
    const std::vector<std::string> lines = {"\n",
                                            "garbage\n",
                                            "{}\n",
                                            "[]\n",
                                            "null\n",
                                            "{\"command\": 5}\n",
                                            "{\"command\": \"explode\"}\n",
                                            std::string(10, '\0') + "\n",
                                            "\xff\xfe\xfd\n",
                                            "{\"command\": \"status\"\n",
                                            many_opened + "\n",
                                            "{\"command\": \"status\", \"format\": [1]}\n"};
    for (const std::string& line : lines) {
        StreamClient client = StreamClient::connect_unix(master.control_path());
        client.send(line);
        client.finish_sending();
        const std::string answer = client.read_to_end();
        if (!answer.empty()) CHECK_MESSAGE(answer.find("\"ok\":false") != std::string::npos, answer);
    }
    CHECK(master.status().serving(2));
    master.wait_until("all callers forgotten", [&] { return count_fds_of(master.pid()) == fds; });
    master.finish();
}

TEST_CASE("a line without end is cut off at 64 KiB") {
    MasterUnderTest master;
    StreamClient client = StreamClient::connect_unix(master.control_path());
    const std::string block(4096, 'x');
    try {
        for (int i = 0; i < 256; ++i)
            client.send(block);
        client.finish_sending();
        const std::string answer = client.read_to_end();
        CHECK_MESSAGE(answer.find("\"ok\":false") != std::string::npos, answer);
    } catch (const std::system_error& error) {
        // Dropped in the middle of the line.
        const bool dropped = error.code().value() == EPIPE || error.code().value() == ECONNRESET;
        CHECK_MESSAGE(dropped, error.what());
    }
    CHECK(master.status().serving(2));
    master.finish();
}

TEST_CASE("silent callers are bounded in number and never in the way") {
    MasterUnderTest master;
    std::vector<StreamClient> silent;
    for (int i = 0; i < 500; ++i) {
        try {
            silent.push_back(StreamClient::connect_unix(master.control_path()));
            silent.back().send("{\"comm");
        } catch (const std::system_error&) {
            break;  // refused: fine as well
        }
    }
    master.wait_until("fewer descriptors than callers", [&] { return count_fds_of(master.pid()) < 200; });
    CHECK(master.get() == "first");
    const std::size_t with_callers = count_fds_of(master.pid());
    silent.clear();
    master.wait_until("their places to be free", [&] { return count_fds_of(master.pid()) < with_callers; });
    CHECK(master.status().serving(2));
    master.finish();
}

TEST_CASE("a caller who does not read its answers is not waited for") {
    MasterUnderTest master;
    StreamClient slow = StreamClient::connect_unix(master.control_path());
    std::string requests;
    for (int i = 0; i < 500; ++i)
        requests += control_request("status", "json");
    try {
        slow.send(requests);
    } catch (const std::exception&) {
        // Dropped, or its requests are no longer read: both are right.
    }
    CHECK(master.status().serving(2));
    CHECK(master.get() == "first");
    master.finish();
}

TEST_CASE("descriptors sent along are closed") {
    MasterUnderTest master;
    const std::size_t fds = count_fds_of(master.pid());
    const UniqueFd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
    for (int i = 0; i < 20; ++i) {
        StreamClient client = StreamClient::connect_unix(master.control_path());
        send_with_fds(client.fd(), control_request("status"), std::vector<int>(10, null.get()));
        client.finish_sending();
        try {
            client.read_to_end();
        } catch (const std::system_error&) {
            // Dropped with a reset: its right.
        }
    }
    master.wait_until("no descriptor of strangers", [&] { return count_fds_of(master.pid()) == fds; });
    CHECK(master.status().serving(2));
    master.finish();
}

TEST_CASE("a caller who leaves in mid-reload misses its answer and nothing else happens") {
    MasterUnderTest master;
    master.write_config({.body = "second"});
    {
        const ControlCall client = master.start_control("reload");
        master.wait_output("reload: reading");
    }
    master.wait_until("the reload", [&] { return master.get() == "second"; });
    master.wait_serving(2);
    master.finish();
}

TEST_CASE("status answers while a reload is under way") {
    MasterUnderTest master({.workers = 4});
    master.write_config({.body = "second", .workers = 8});
    ControlCall client = master.start_control("reload");
    do {
        const StatusView view = master.status();
        CHECK_MESSAGE((view.state == "running" || view.state == "reloading"), view.state);
    } while (client.unanswered());
    master.wait_serving(8);
    master.finish();
}

}  // namespace drover::test
