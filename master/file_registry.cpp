#include "master/file_registry.h"

#include "core/log_path.h"

#include <algorithm>
#include <system_error>
#include <utility>

namespace drover {

std::shared_ptr<const OpenedFile> FileRegistry::acquire(const std::string& path) {
    std::erase_if(files_, [](const auto& file) { return file.expired(); });
    for (const auto& known : files_) {
        if (const auto file = known.lock(); file->path == path && names_file(path, file->fd.get()))
            return file;
    }
    auto file = std::make_shared<OpenedFile>(OpenedFile{path, open_log_path(path)});
    files_.push_back(file);
    return file;
}

bool FileRegistry::moved(const std::vector<std::shared_ptr<const OpenedFile>>& files) {
    return std::ranges::any_of(files,
                               [](const auto& file) { return !names_file(file->path, file->fd.get()); });
}

std::vector<std::string> FileRegistry::reopen(const std::vector<std::shared_ptr<const OpenedFile>>& needed) {
    std::vector<std::pair<std::shared_ptr<OpenedFile>, UniqueFd>> opened;
    std::vector<std::string> failures;
    for (const auto& known : files_) {
        auto file = known.lock();
        if (file == nullptr) continue;
        try {
            UniqueFd fd = open_log_path(file->path);
            opened.emplace_back(std::move(file), std::move(fd));
        } catch (const std::system_error& failure) {
            if (std::ranges::find(needed, file) != needed.end()) throw;
            failures.emplace_back(failure.what());
        }
    }
    for (auto& [file, fd] : opened)
        file->fd = std::move(fd);
    return failures;
}

}  // namespace drover
