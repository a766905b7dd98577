// What the tests of the log share: files and pipes it writes to, and reading them back. Runs in: tests.
#pragma once

#include "core/base/system_error.h"
#include "core/log/log.h"
#include "tests/support/temporary_folder.h"

#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace drover::test {

inline std::string content_of(const std::string& path) {
    std::ostringstream content;
    content << std::ifstream(path).rdbuf();
    return content.str();
}

inline std::vector<std::string> lines_of(const std::string& content) {
    std::vector<std::string> lines;
    std::istringstream stream(content);
    for (std::string line; std::getline(stream, line);)
        lines.push_back(line);
    return lines;
}

// What stands behind "]: " in each line.
inline std::vector<std::string> messages_in(const std::string& content) {
    std::vector<std::string> messages;
    for (const std::string& line : lines_of(content)) {
        const std::size_t start = line.find("]: ");
        messages.push_back(start == line.npos ? "no head: " + line : line.substr(start + 3));
    }
    return messages;
}

// A log of a worker into a file of its own.
struct FileLog {
    TemporaryFolder directory;
    std::string path = directory.file("a.log");
    Log log{LogIdentity{"worker", "main", 0}};

    FileLog() { log.set_target(open_log_target(path)); }
    std::string content() const { return content_of(path); }
};

// What can be read from `fd` without waiting.
inline std::string drain(int fd) {
    ::fcntl(fd, F_SETFL, O_NONBLOCK);
    std::string content;
    char buffer[4096];
    for (ssize_t size; (size = ::read(fd, buffer, sizeof buffer)) > 0;) {
        content.append(buffer, static_cast<std::size_t>(size));
    }
    return content;
}

inline std::pair<UniqueFd, UniqueFd> make_pipe(int flags) {
    int ends[2];
    check_call(::pipe2(ends, O_CLOEXEC | flags), "pipe2");
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// Puts another file in the place of standard output or error while it lives.
class StandardStream {
  public:
    StandardStream(int stream, int fd) : stream_(stream), kept_(::fcntl(stream, F_DUPFD_CLOEXEC, 3)) {
        ::dup2(fd, stream);
    }
    ~StandardStream() { ::dup2(kept_.get(), stream_); }
    StandardStream(const StandardStream&) = delete;
    StandardStream& operator=(const StandardStream&) = delete;

  private:
    int stream_;
    UniqueFd kept_;
};

class StandardError : public StandardStream {
  public:
    explicit StandardError(int fd) : StandardStream(2, fd) {}
};

inline bool is_non_blocking(int fd) {
    return (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0;
}

}  // namespace drover::test
