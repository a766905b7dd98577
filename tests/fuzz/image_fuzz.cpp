// Bytes as a configuration image whose header fields that say "one of ours" are put right: whatever view()
// then takes must be safe to read in every way that Drover reads an image.
#include "conf/image/diff.h"
#include "conf/image/image.h"
#include "conf/options/reference.h"
#include "conf/settings.h"
#include "core/base/check.h"

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <vector>

namespace {

std::size_t walk(const drover::ImageNode& node) {
    std::size_t sum = node.name().size() + node.text().size() + static_cast<std::size_t>(node.type()) +
                      static_cast<std::size_t>(node.apply());
    for (const char letter : node.text())
        sum += static_cast<unsigned char>(letter);
    for (std::uint32_t index = 0; index < node.size(); ++index)
        sum += walk(node.child(index));
    return sum;
}

void read_all(const drover::Image& image) {
    volatile std::size_t sum = walk(image.root());
    static_cast<void>(sum);
    DROVER_CHECK(drover::compare(image, image).change == drover::Change::none);
    DROVER_CHECK(!drover::to_toml(image).empty());
    DROVER_CHECK(!drover::to_json(image).empty());
    try {
        const drover::Settings settings = drover::Settings::load(image);
        DROVER_CHECK(!settings.pools.empty());
    } catch (const std::runtime_error&) {
        // Well-formed, but not a configuration of ours.
        return;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::vector<std::byte> bytes(size);
    if (size != 0) std::memcpy(bytes.data(), data, size);
    if (size >= sizeof(drover::ImageHeader)) {
        drover::ImageHeader header;
        std::memcpy(&header, bytes.data(), sizeof header);
        header.magic = drover::ImageHeader::expected_magic;
        header.version = drover::ImageHeader::expected_version;
        header.total_size = size;
        std::memcpy(bytes.data(), &header, sizeof header);
        header.checksum = drover::image_checksum(bytes);
        std::memcpy(bytes.data(), &header, sizeof header);
    }
    try {
        read_all(drover::Image::view(bytes));
    } catch (const std::runtime_error&) {
        return 0;
    }
    return 0;
}
