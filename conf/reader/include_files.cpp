#include "conf/reader/include_files.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <iterator>
#include <memory>
#include <new>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <glob.h>

namespace drover {

namespace {

using DuplicateHandler = std::function<void(const DocumentValue&, const DocumentValue&, const std::string&)>;

bool is_list_of_tables(const DocumentValue& value) noexcept {
    return value.kind == DocumentKind::list && std::ranges::all_of(value.children, [](const auto& child) {
               return child.kind == DocumentKind::table;
           });
}

void merge(DocumentValue& into, DocumentValue from, const std::string& path,
           const DuplicateHandler& on_duplicate) {
    for (DocumentValue& child : from.children) {
        const auto known = std::ranges::find(into.children, child.name, &DocumentValue::name);
        if (known == into.children.end()) {
            into.children.push_back(std::move(child));
            continue;
        }
        const std::string key = path + child.name;
        if (known->kind == DocumentKind::table && child.kind == DocumentKind::table) {
            merge(*known, std::move(child), key + ".", on_duplicate);
        } else if (is_list_of_tables(*known) && is_list_of_tables(child)) {
            std::ranges::move(child.children, std::back_inserter(known->children));
        } else {
            on_duplicate(*known, child, key);
        }
    }
}

}  // namespace

std::vector<std::string> find_included(const std::string& pattern, const std::string& directory) {
    const std::string path = (std::filesystem::path(directory) / pattern).lexically_normal();
    if (path.find_first_of("*?[") == std::string::npos) return {path};
    glob_t found{};
    const int result = ::glob(path.c_str(), GLOB_NOSORT | GLOB_ERR, nullptr, &found);
    const int error = errno;
    const std::unique_ptr<glob_t, void (*)(glob_t*)> release(&found, ::globfree);
    if (result == GLOB_NOSPACE) throw std::bad_alloc();
    if (result == GLOB_NOMATCH || (result == GLOB_ABORTED && error == ENOENT)) return {};
    if (result == GLOB_ABORTED)
        throw std::invalid_argument("cannot be read: " + std::generic_category().message(error));
    if (found.gl_pathc > max_config_files)
        throw std::invalid_argument("means " + std::to_string(found.gl_pathc) + " files; at most " +
                                    std::to_string(max_config_files) + " are read");
    std::vector<std::string> files(found.gl_pathv, found.gl_pathv + found.gl_pathc);
    std::ranges::sort(files);
    return files;
}

void merge_tables(DocumentValue& into, DocumentValue from, const DuplicateHandler& on_duplicate) {
    merge(into, std::move(from), "", on_duplicate);
}

}  // namespace drover
