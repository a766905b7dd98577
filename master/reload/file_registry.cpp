#include "master/reload/file_registry.h"

#include <algorithm>
#include <system_error>
#include <utility>

namespace drover {

std::shared_ptr<const OpenedFile> FileRegistry::acquire(const std::string& name) {
    std::erase_if(files_, [](const auto& file) { return file.expired(); });
    for (const auto& known : files_) {
        if (const auto file = known.lock(); file->name == name && !file->moved()) return file;
    }
    auto file = std::make_shared<OpenedFile>(open_log_target(name));
    files_.push_back(file);
    return file;
}

bool FileRegistry::moved(const std::vector<std::shared_ptr<const OpenedFile>>& files) {
    return std::ranges::any_of(files, [](const auto& file) { return file->moved(); });
}

std::vector<std::string> FileRegistry::reopen(const std::vector<std::shared_ptr<const OpenedFile>>& needed) {
    std::vector<std::pair<std::shared_ptr<OpenedFile>, UniqueFd>> opened;
    std::vector<std::string> failures;
    for (const auto& known : files_) {
        auto file = known.lock();
        if (file == nullptr) continue;
        try {
            LogTarget again = open_log_target(file->name);
            opened.emplace_back(std::move(file), std::move(again.fd));
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
