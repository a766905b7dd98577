// TemporaryFolder is a directory of the test's own, removed with everything in it at the end. Runs in: tests.
#pragma once

#include <string>
#include <string_view>

namespace drover::test {

class TemporaryFolder {
  public:
    TemporaryFolder();
    ~TemporaryFolder();
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;

    const std::string& path() const { return path_; }
    std::string file(std::string_view name) const { return path_ + "/" + std::string(name); }

  private:
    std::string path_;
};

// Empty when there is no such file.
std::string read_file(const std::string& path);
void write_file(const std::string& path, std::string_view text);

}  // namespace drover::test
