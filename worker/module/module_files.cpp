#include "worker/module/module_files.h"

#include "core/log/log_file.h"
#include "worker/module/configuration.h"

#include <algorithm>
#include <stdexcept>

#include <poll.h>
#include <sys/stat.h>

namespace drover {

namespace {

// A socket to the journal is another file each time, and has no parts of lines.
bool same_file(const LogFile& file, int other) noexcept {
    struct stat one {};
    struct stat two {};
    return file.is_journal() || (::fstat(file.fd(), &one) == 0 && ::fstat(other, &two) == 0 &&
                                 one.st_dev == two.st_dev && one.st_ino == two.st_ino);
}

}  // namespace

ModuleFile::ModuleFile(LogTarget target) : name_(target.name), file_(std::make_unique<LogFile>()) {
    file_->replace(std::move(target));
}

ModuleFile::~ModuleFile() = default;

std::size_t ModuleFile::longest_line() const noexcept {
    return file_->longest_whole_line();
}

bool ModuleFile::wait_for_room(std::chrono::milliseconds longest) const noexcept {
    pollfd room{file_->fd(), POLLOUT, 0};
    return longest.count() > 0 && ::poll(&room, 1, static_cast<int>(longest.count())) == 1;
}

ssize_t ModuleFile::write(std::string_view lines) const noexcept {
    return file_->write_lines(lines);
}

void ModuleFile::replace(UniqueFd fd) noexcept {
    if (!same_file(*file_, fd.get())) ++replaced_;
    file_->replace({std::move(fd), name_});
}

std::shared_ptr<const ModuleFile> ModuleFiles::find(const Configuration& configuration,
                                                    std::string_view value) const {
    const auto found = by_path_.find(absolute_log_target(value, configuration.settings().directory));
    if (found == by_path_.end())
        throw std::out_of_range("the master has not opened " + std::string(value) + " for a module");
    return found->second;
}

void ModuleFiles::put(std::string_view path, UniqueFd fd) {
    const auto [entry, is_new] = by_path_.try_emplace(std::string(path));
    if (is_new) {
        entry->second = std::make_shared<ModuleFile>(LogTarget{std::move(fd), entry->first});
        return;
    }
    next_.erase(entry->first);
    entry->second->replace(std::move(fd));
}

void ModuleFiles::put_next(std::string_view path, UniqueFd fd) {
    if (!by_path_.contains(path)) return put(path, std::move(fd));
    next_.insert_or_assign(std::string(path), std::move(fd));
}

void ModuleFiles::commit(const Configuration& serving) noexcept {
    for (auto& [path, fd] : next_)
        by_path_.find(path)->second->replace(std::move(fd));
    next_.clear();
    keep_only(serving);
}

void ModuleFiles::abandon(const Configuration& serving) noexcept {
    next_.clear();
    keep_only(serving);
}

void ModuleFiles::keep_only(const Configuration& configuration) noexcept {
    const std::vector<FileSettings>& files = configuration.settings().files;
    std::erase_if(by_path_, [&](const auto& entry) {
        return std::ranges::find(files, entry.first, &FileSettings::path) == files.end();
    });
}

}  // namespace drover
