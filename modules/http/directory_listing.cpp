#include "modules/http/directory_listing.h"

#include "modules/http/path.h"

#include <algorithm>
#include <memory>
#include <vector>

#include <dirent.h>
#include <sys/stat.h>

namespace drover::http {

namespace {

constexpr std::size_t max_names = 10'000;

bool is_directory(int directory, const dirent& entry) noexcept {
    if (entry.d_type != DT_UNKNOWN && entry.d_type != DT_LNK) return entry.d_type == DT_DIR;
    struct stat status {};
    return ::fstatat(directory, entry.d_name, &status, 0) == 0 && S_ISDIR(status.st_mode);
}

}  // namespace

std::optional<std::string> list_directory(const UniqueFd& directory, std::string_view title) {
    UniqueFd own = directory.duplicate();
    if (!own) return std::nullopt;
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(own.get()), &::closedir);
    if (stream == nullptr) return std::nullopt;
    const int fd = own.release();
    std::vector<std::string> names;
    while (const dirent* const entry = ::readdir(stream.get())) {
        if (entry->d_name[0] == '.' || names.size() == max_names) continue;
        names.emplace_back(entry->d_name).append(is_directory(fd, *entry) ? "/" : "");
    }
    std::ranges::sort(names);

    std::string page = "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>";
    append_escaped_html(page, title);
    page.append("</title></head>\n<body><h1>");
    append_escaped_html(page, title);
    page.append("</h1>\n<ul>\n");
    if (title != "/") page.append("<li><a href=\"../\">../</a></li>\n");
    for (const std::string& name : names) {
        // "./" so that a name with a colon is no scheme.
        page.append("<li><a href=\"./");
        append_escaped_path(page, name);
        page.append("\">");
        append_escaped_html(page, name);
        page.append("</a></li>\n");
    }
    return page.append("</ul></body></html>\n");
}

}  // namespace drover::http
