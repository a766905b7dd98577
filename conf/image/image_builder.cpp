#include "conf/image/image.h"

#include <cstring>
#include <stdexcept>
#include <string_view>
#include <unordered_map>

namespace drover {

namespace {

// Equal strings are stored once: most names repeat in every listener and route.
class StringArea {
  public:
    std::uint32_t add(std::string_view text) {
        if (text.empty()) return 0;
        const auto [place, added] = known_.try_emplace(std::string(text), bytes_.size());
        if (added) bytes_.append(text);
        if (bytes_.size() > max_image_bytes) throw std::length_error("the configuration is too large");
        return static_cast<std::uint32_t>(place->second);
    }
    const std::string& bytes() const noexcept { return bytes_; }

  private:
    std::unordered_map<std::string, std::size_t> known_;
    std::string bytes_;
};

ImageRecord make_record(const ImageValue& value, StringArea& strings) {
    ImageRecord record;
    record.name_offset = strings.add(value.name);
    record.name_size = static_cast<std::uint32_t>(value.name.size());
    record.type = static_cast<std::uint8_t>(value.type);
    record.apply = static_cast<std::uint8_t>(value.apply);
    record.is_default = value.is_default ? 1 : 0;
    record.masking = static_cast<std::uint8_t>(value.masking);
    record.text_offset = strings.add(value.text);
    record.text_size = static_cast<std::uint32_t>(value.text.size());
    record.integer = value.integer;
    return record;
}

std::vector<ImageRecord> flatten(const ImageValue& root, StringArea& strings) {
    std::vector<const ImageValue*> order{&root};
    std::vector<ImageRecord> records;
    std::size_t level_end = 1;
    std::uint32_t depth = 0;
    for (std::size_t index = 0; index < order.size(); ++index) {
        if (index == level_end) {
            level_end = order.size();
            if (++depth > max_image_depth) throw std::length_error("the configuration is nested too deeply");
        }
        const ImageValue& value = *order[index];
        ImageRecord record = make_record(value, strings);
        record.child_count = static_cast<std::uint32_t>(value.children.size());
        record.first_child = value.children.empty() ? 0 : static_cast<std::uint32_t>(order.size());
        records.push_back(record);
        for (const ImageValue& child : value.children)
            order.push_back(&child);
        if (order.size() * sizeof(ImageRecord) > max_image_bytes)
            throw std::length_error("the configuration has too many values");
    }
    return records;
}

}  // namespace

std::vector<std::byte> build_image(const ImageValue& root) {
    StringArea strings;
    const std::vector<ImageRecord> records = flatten(root, strings);

    ImageHeader header;
    header.node_count = static_cast<std::uint32_t>(records.size());
    header.node_stride = sizeof(ImageRecord);
    header.nodes_offset = sizeof(ImageHeader);
    header.strings_offset = header.nodes_offset + records.size() * sizeof(ImageRecord);
    header.total_size = header.strings_offset + strings.bytes().size();
    if (header.total_size > max_image_bytes) throw std::length_error("the configuration is too large");

    std::vector<std::byte> image(header.total_size);
    std::memcpy(image.data() + header.nodes_offset, records.data(), records.size() * sizeof(ImageRecord));
    if (!strings.bytes().empty())
        std::memcpy(image.data() + header.strings_offset, strings.bytes().data(), strings.bytes().size());
    std::memcpy(image.data(), &header, sizeof header);
    header.checksum = image_checksum(image);
    std::memcpy(image.data(), &header, sizeof header);
    return image;
}

UniqueFd create_image_memory() {
    return create_memfd("drover-configuration", 0, false);
}

void publish_image(std::span<const std::byte> image, int memory) {
    reserve_memory(memory, 0, image.size(), "drover-configuration");
    {
        // F_SEAL_WRITE is refused while a writable mapping exists: it must be gone before the seals.
        const Mapping mapping = map_shared_writable(memory, 0, image.size());
        std::memcpy(mapping.data(), image.data(), image.size());
    }
    seal_memory(memory);
}

}  // namespace drover
