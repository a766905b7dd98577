#include "conf/reader/config_text.h"

#include "conf/options/value_text.h"
#include "core/base/system_error.h"
#include "core/base/unique_fd.h"
#include "core/base/utf8.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <system_error>

#include <sys/stat.h>

namespace drover {

namespace {

[[noreturn]] void refuse_text(const std::string& path, const std::string& message) {
    throw ConfigError{{path + ": " + message}};
}

[[noreturn]] void refuse_errno(const std::string& path) {
    const std::error_code reason(errno, std::generic_category());
    if (is_shortage(reason)) throw std::system_error(reason, path + ": cannot be read");
    refuse_text(path, "cannot be read: " + reason.message());
}

const char* file_kind(mode_t mode) noexcept {
    if (S_ISDIR(mode)) return "a directory";
    if (S_ISFIFO(mode)) return "a FIFO";
    if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
    if (S_ISSOCK(mode)) return "a socket";
    return "something else";
}

struct stat status_of(int fd, const std::string& path) {
    struct stat status {};
    if (::fstat(fd, &status) != 0) refuse_errno(path);
    return status;
}

// Where in the text: columns count characters, as toml++ does.
class Place {
  public:
    void pass(char letter) noexcept {
        if (letter == '\n') {
            ++place_.line;
            place_.column = 1;
        } else if ((static_cast<unsigned char>(letter) & 0xc0) != 0x80) {
            ++place_.column;
        }
    }
    std::string text(const std::string& path) const {
        return path + ":" + std::to_string(place_.line) + ":" + std::to_string(place_.column);
    }

  private:
    SourcePlace place_{1, 1};
};

void check_encoding(std::string_view text, const std::string& path) {
    const std::size_t end = std::min(text.find('\0'), utf8_prefix(text));
    if (end == text.size()) return;
    Place place;
    for (const char letter : text.substr(0, end))
        place.pass(letter);
    if (text[end] == '\0') refuse_text(place.text(path), "a NUL byte; a configuration is text");
    refuse_text(place.text(path), "not UTF-8; save the file in that encoding");
}

// The length of the string or comment that `text` begins with, quotes included; 0 when it begins with
// neither. A string or comment that never ends reaches to the end of the text: the parser says so.
std::size_t skip_opaque(std::string_view text) noexcept {
    const char quote = text.front();
    if (quote == '#') return std::min(text.find('\n'), text.size());
    if (quote != '"' && quote != '\'') return 0;
    const std::string_view triple = quote == '"' ? "\"\"\"" : "'''";
    const bool multi = text.starts_with(triple);
    for (std::size_t index = multi ? 3 : 1; index < text.size(); ++index) {
        if (quote == '"' && text[index] == '\\') {
            ++index;
        } else if (multi ? text.substr(index).starts_with(triple) : text[index] == quote) {
            if (!multi) return index + 1;
            std::size_t end = index + 3;  // up to two quotes more belong to the string's end
            while (end < text.size() && end < index + 5 && text[end] == quote)
                ++end;
            return end;
        } else if (!multi && text[index] == '\n') {
            return index;
        }
    }
    return text.size();
}

void check_depth(std::string_view text, const std::string& path) {
    Place place;
    std::size_t brackets = 0;
    std::size_t dots = 0;  // of one key
    while (!text.empty()) {
        const std::size_t opaque = skip_opaque(text);
        const char letter = text.front();
        if (letter == '[' || letter == '{') ++brackets;
        if ((letter == ']' || letter == '}') && brackets > 0) --brackets;
        if (letter == '.') {
            ++dots;
        } else if (std::string_view("[]{}=,\n").find(letter) != std::string_view::npos) {
            dots = 0;
        }
        if (brackets + dots > max_config_depth)
            refuse_text(place.text(path),
                        "nested too deeply; at most " + std::to_string(max_config_depth) + " levels");
        const std::size_t length = std::max<std::size_t>(opaque, 1);
        for (const char passed : text.substr(0, length))
            place.pass(passed);
        text.remove_prefix(length);
    }
}

std::string_view trim(std::string_view text) noexcept {
    const std::size_t begin = text.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

// Takes a bare or quoted key off the front of `text`.
std::string_view take_key(std::string_view& text) noexcept {
    text = trim(text);
    std::string_view key;
    if (!text.empty() && (text.front() == '"' || text.front() == '\'')) {
        const std::size_t end = text.find(text.front(), 1);
        if (end == std::string_view::npos) return {};
        key = text.substr(1, end - 1);
        text.remove_prefix(end + 1);
    } else {
        key = text.substr(0, std::min(text.find_first_of(" \t=.]#\"'"), text.size()));
        text.remove_prefix(key.size());
    }
    text = trim(text);
    return key;
}

bool only_comment(std::string_view rest) noexcept {
    rest = trim(rest);
    return rest.empty() || rest.front() == '#';
}

// A string on one line, with a comment behind it at most. None: it is not one.
std::optional<std::string> string_value(std::string_view text) {
    if (text.empty() || (text.front() != '"' && text.front() != '\'')) return {};
    const char quote = text.front();
    std::string result;
    for (std::size_t index = 1; index < text.size(); ++index) {
        if (text[index] == quote) {
            if (!only_comment(text.substr(index + 1))) return {};
            return result;
        }
        if (quote == '"' && text[index] == '\\') {
            if (++index == text.size() || (text[index] != '"' && text[index] != '\\')) return {};
        }
        result.push_back(text[index]);
    }
    return {};
}

}  // namespace

std::string load_config_text(const std::string& path) {
    // O_NONBLOCK: opening a FIFO that nobody writes to would wait.
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
    if (!fd) refuse_errno(path);
    const struct stat status = status_of(fd.get(), path);
    if (!S_ISREG(status.st_mode))
        refuse_text(path,
                    std::string("is ") + file_kind(status.st_mode) + "; a configuration is a regular file");
    if (status.st_size > static_cast<off_t>(max_config_bytes))
        refuse_text(path, "has " + std::to_string(status.st_size) + " bytes; a configuration has at most " +
                              size_text(static_cast<std::int64_t>(max_config_bytes)));
    std::string text(static_cast<std::size_t>(status.st_size) + 1, '\0');  // one more: to see it grow
    std::size_t size = 0;
    while (size < text.size()) {
        const ssize_t got = ::read(fd.get(), text.data() + size, text.size() - size);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) refuse_errno(path);
        if (got == 0) break;
        size += static_cast<std::size_t>(got);
    }
    if (size != static_cast<std::size_t>(status.st_size))
        refuse_text(path, "changed while it was read; try again when it is written");
    text.resize(size);
    return text;
}

void check_config_text(std::string_view text, const std::string& path) {
    check_encoding(text, path);
    check_depth(text, path);
}

std::string scan_runtime_dir(std::string_view text) {
    std::string table;
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        std::string_view line = trim(text.substr(0, end));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        if (line.starts_with('[')) {
            line.remove_prefix(1);
            const std::string_view name = take_key(line);
            const bool whole = line.starts_with(']') && only_comment(line.substr(1));
            table = whole ? std::string(name) : "?";
            continue;
        }
        std::string_view key = take_key(line);
        if (table.empty() && key == "master" && line.starts_with('.')) {
            line.remove_prefix(1);
            key = take_key(line);
        } else if (table != "master") {
            continue;
        }
        if (key != "runtime_dir" || !line.starts_with('=')) continue;
        if (const auto value = string_value(trim(line.substr(1)))) return *value;
    }
    return {};
}

std::string absolute_config_path(const std::string& path) {
    if (path.empty()) throw ConfigError{{"the configuration file has no name"}};
    std::error_code error;  // the working directory may be gone
    const std::filesystem::path absolute = std::filesystem::absolute(path, error);
    return error ? path : absolute.lexically_normal().string();
}

}  // namespace drover
