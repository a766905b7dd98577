#include "master/file_registry.h"

#include "core/log.h"

#include <algorithm>
#include <utility>

namespace drover {

std::shared_ptr<const OpenedFile> FileRegistry::acquire(const std::string& path) {
    std::erase_if(files_, [](const auto& file) { return file.expired(); });
    for (const auto& known : files_) {
        if (const auto file = known.lock(); file->path == path) return file;
    }
    auto file = std::make_shared<OpenedFile>(OpenedFile{path, open_log_path(path)});
    files_.push_back(file);
    return file;
}

void FileRegistry::reopen() {
    std::vector<std::pair<std::shared_ptr<OpenedFile>, UniqueFd>> opened;
    for (const auto& known : files_) {
        if (auto file = known.lock()) opened.emplace_back(file, open_log_path(file->path));
    }
    for (auto& [file, fd] : opened)
        file->fd = std::move(fd);
}

}  // namespace drover
