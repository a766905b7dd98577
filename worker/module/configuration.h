// Configuration is one generation's settings as a worker and its modules use them: the verified image and
// what was loaded from it. Shared and never changed: whoever still works with an old one (a request that is
// under way) keeps it alive. Runs in: worker.
#pragma once

#include "conf/image/image.h"
#include "conf/settings.h"

#include <cstdint>
#include <memory>
#include <string_view>

namespace drover {

class Configuration {
  public:
    // Throws std::runtime_error when the image has no pool of that name.
    Configuration(std::uint64_t generation, Image image, std::string_view pool);
    Configuration(const Configuration&) = delete;
    Configuration& operator=(const Configuration&) = delete;

    std::uint64_t generation() const noexcept { return generation_; }
    const Image& image() const noexcept { return image_; }
    const Settings& settings() const noexcept { return settings_; }
    const PoolSettings& pool() const noexcept { return *pool_; }
    // The checked table of a module's options.
    ImageNode module_options(std::string_view module) const noexcept;

  private:
    std::uint64_t generation_;
    Image image_;
    Settings settings_;
    const PoolSettings* pool_;
};

}  // namespace drover
