#include "modules/http/directory_listing.h"

#include "modules/http/path.h"

#include <algorithm>
#include <ctime>
#include <memory>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/stat.h>

namespace drover::http {

namespace {

struct Names {
    std::vector<std::string> first;  // in order
    std::size_t left_out = 0;
    bool all_read = true;
};

// A heap of those that come first, its last one on top.
void keep_first(Names& names, const char* name) {
    std::vector<std::string>& heap = names.first;
    if (heap.size() == max_listed_names) {
        ++names.left_out;
        if (heap.front() < name) return;
        std::ranges::pop_heap(heap);
        heap.pop_back();
    }
    heap.emplace_back(name);
    std::ranges::push_heap(heap);
}

Names read_names(DIR* stream) {
    Names names;
    std::size_t count = 0;
    while (const dirent* const entry = ::readdir(stream)) {
        if (entry->d_name[0] == '.') continue;
        if (++count > max_read_names) {
            names.all_read = false;
            break;
        }
        keep_first(names, entry->d_name);
    }
    std::ranges::sort_heap(names.first);
    return names;
}

void append_row(std::string& page, int directory, const std::string& name) {
    struct stat status {};
    if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return;  // gone meanwhile
    const bool is_link = S_ISLNK(status.st_mode);
    struct stat target {};
    const bool is_directory =
        is_link ? ::fstatat(directory, name.c_str(), &target, 0) == 0 && S_ISDIR(target.st_mode)
                : S_ISDIR(status.st_mode);
    const std::string_view mark = is_directory ? "/" : "";
    // "./" so that a name with a colon is no scheme.
    page.append("<tr><td><a href=\"./");
    append_escaped_path(page, name);
    page.append(mark).append("\">");
    append_escaped_html(page, name);
    page.append(mark).append("</a></td><td>");
    if (S_ISREG(status.st_mode)) page.append(std::to_string(status.st_size));
    page.append("</td><td>");
    std::tm time{};
    if (!is_link && ::gmtime_r(&status.st_mtim.tv_sec, &time) != nullptr)
        page.append(fmt::format("{:%Y-%m-%d %H:%M:%S}", time));
    page.append("</td></tr>\n");
}

}  // namespace

std::optional<std::string> list_directory(const UniqueFd& directory, std::string_view title) {
    UniqueFd own = directory.duplicate();
    if (!own) return std::nullopt;
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(own.get()), &::closedir);
    if (stream == nullptr) return std::nullopt;
    const int fd = own.release();
    const Names names = read_names(stream.get());

    std::string page = "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>";
    append_escaped_html(page, title);
    page.append(
        "</title><style>td{padding-right:2em}td+td{text-align:right;font-family:monospace}</style></head>\n"
        "<body><h1>");
    append_escaped_html(page, title);
    page.append("</h1>\n<table>\n<tr><th>Name</th><th>Bytes</th><th>Changed (UTC)</th></tr>\n");
    if (title != "/") page.append("<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n");
    for (const std::string& name : names.first)
        append_row(page, fd, name);
    page.append("</table>\n");
    if (names.left_out > 0)
        page.append(fmt::format("<p>{}{} more names are left out.</p>\n", names.all_read ? "" : "At least ",
                                names.left_out));
    return page.append("</body></html>\n");
}

}  // namespace drover::http
