#include "worker/module/configuration.h"

#include <stdexcept>

namespace drover {

Configuration::Configuration(std::uint64_t generation, Image image, std::string_view pool)
    : generation_(generation),
      image_(std::move(image)),
      settings_(Settings::load(image_)),
      pool_(settings_.find_pool(pool)) {
    if (pool_ == nullptr) throw std::runtime_error("the image has no pool \"" + std::string(pool) + "\"");
}

ImageNode Configuration::module_options(std::string_view module) const noexcept {
    return image_.root().find("module").find(module);
}

}  // namespace drover
