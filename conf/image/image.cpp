#include "conf/image/image.h"

#include "core/base/check.h"

#include <cstring>
#include <stdexcept>
#include <unordered_set>

namespace drover {

namespace {

[[noreturn]] void refuse(const char* what) {
    throw std::runtime_error(std::string("configuration image: ") + what);
}

const ImageHeader& header_of(const std::byte* image) noexcept {
    return *reinterpret_cast<const ImageHeader*>(image);
}

const ImageRecord* record_at(const std::byte* image, std::uint32_t index) noexcept {
    const ImageHeader& header = header_of(image);
    return reinterpret_cast<const ImageRecord*>(image + header.nodes_offset +
                                                std::size_t{index} * header.node_stride);
}

std::string_view string_at(const std::byte* image, std::uint32_t offset, std::uint32_t size) noexcept {
    return {reinterpret_cast<const char*>(image + header_of(image).strings_offset + offset), size};
}

bool has_children(std::uint8_t type) noexcept {
    return type == static_cast<std::uint8_t>(ValueType::list) ||
           type == static_cast<std::uint8_t>(ValueType::table);
}

void verify_header(std::span<const std::byte> bytes) {
    if (bytes.size() < sizeof(ImageHeader)) refuse("shorter than its header");
    if (bytes.size() > max_image_bytes) refuse("too large");
    if (reinterpret_cast<std::uintptr_t>(bytes.data()) % alignof(ImageHeader) != 0) refuse("not aligned");
    const ImageHeader& header = header_of(bytes.data());
    if (header.magic != ImageHeader::expected_magic) refuse("not a configuration image");
    if (header.version != ImageHeader::expected_version) refuse("made for another version");
    if (header.total_size != bytes.size()) refuse("its size is not what its header says");
    if (header.checksum != image_checksum(bytes)) refuse("the checksum does not match");
    if (header.header_size < sizeof(ImageHeader) || header.header_size > header.nodes_offset)
        refuse("the header's size is wrong");
    if (header.node_stride < sizeof(ImageRecord) || header.node_stride % alignof(ImageRecord) != 0)
        refuse("the node stride is wrong");
    if (header.nodes_offset > bytes.size() || header.nodes_offset % alignof(ImageRecord) != 0)
        refuse("the nodes are out of bounds");
    const std::uint64_t nodes_size = std::uint64_t{header.node_count} * header.node_stride;
    if (header.node_count == 0 || nodes_size > bytes.size() - header.nodes_offset)
        refuse("the nodes are out of bounds");
    if (header.strings_offset < header.nodes_offset + nodes_size || header.strings_offset > bytes.size())
        refuse("the strings are out of bounds");
}

void verify_record(const ImageRecord& record, std::uint64_t strings_size) {
    if (record.type < static_cast<std::uint8_t>(ValueType::boolean) ||
        record.type > static_cast<std::uint8_t>(ValueType::table))
        refuse("a node's type is unknown");
    if (record.apply < static_cast<std::uint8_t>(Apply::hot) ||
        record.apply > static_cast<std::uint8_t>(Apply::restart))
        refuse("a node does not say how it is applied");
    if (record.is_default > 1) refuse("a node's default mark is wrong");
    if (record.masking > static_cast<std::uint8_t>(Masking::after_name))
        refuse("a node's secret mark is wrong");
    if (std::uint64_t{record.name_offset} + record.name_size > strings_size)
        refuse("a name is out of bounds");
    if (std::uint64_t{record.text_offset} + record.text_size > strings_size)
        refuse("a text is out of bounds");
    if (record.child_count != 0 && !has_children(record.type)) refuse("a plain value has children");
    if (record.type == static_cast<std::uint8_t>(ValueType::boolean) && record.integer != 0 &&
        record.integer != 1)
        refuse("a boolean is neither true nor false");
}

// A table's children are known by their names, a list's have none.
void verify_names(const std::byte* image, const ImageRecord& parent,
                  std::unordered_set<std::string_view>& names) {
    names.clear();
    for (std::uint32_t index = 0; index < parent.child_count; ++index) {
        const ImageRecord& child = *record_at(image, parent.first_child + index);
        if (parent.type == static_cast<std::uint8_t>(ValueType::list)) {
            if (child.name_size != 0) refuse("an element of a list has a name");
            continue;
        }
        const std::string_view name = string_at(image, child.name_offset, child.name_size);
        if (name.empty()) refuse("a value of a table has no name");
        if (!names.insert(name).second) refuse("two values of a table have one name");
    }
}

}  // namespace

std::uint64_t image_checksum(std::span<const std::byte> image) noexcept {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (std::size_t offset = 0; offset < image.size(); offset += sizeof(std::uint64_t)) {
        std::uint64_t word = 0;
        if (offset != offsetof(ImageHeader, checksum))
            std::memcpy(&word, image.data() + offset, std::min(sizeof word, image.size() - offset));
        hash = (hash ^ word) * 0x100000001b3;
        hash ^= hash >> 32;  // a product carries only upwards: without this the low bits would see little
    }
    return hash;
}

std::string_view ImageNode::name() const noexcept {
    return record_ == nullptr ? std::string_view()
                              : string_at(image_, record_->name_offset, record_->name_size);
}

ValueType ImageNode::type() const noexcept {
    DROVER_CHECK(record_ != nullptr);
    return static_cast<ValueType>(record_->type);
}

Apply ImageNode::apply() const noexcept {
    DROVER_CHECK(record_ != nullptr);
    return static_cast<Apply>(record_->apply);
}

Masking ImageNode::masking() const noexcept {
    return record_ != nullptr ? static_cast<Masking>(record_->masking) : Masking::none;
}

bool ImageNode::is_default() const noexcept {
    return record_ != nullptr && record_->is_default != 0;
}
bool ImageNode::boolean() const noexcept {
    return record_ != nullptr && record_->integer != 0;
}
std::int64_t ImageNode::integer() const noexcept {
    return record_ == nullptr ? 0 : record_->integer;
}

std::string_view ImageNode::text() const noexcept {
    return record_ == nullptr ? std::string_view()
                              : string_at(image_, record_->text_offset, record_->text_size);
}

std::uint32_t ImageNode::size() const noexcept {
    return record_ == nullptr ? 0 : record_->child_count;
}

ImageNode ImageNode::child(std::uint32_t index) const noexcept {
    if (index >= size()) return {};
    return {image_, record_at(image_, record_->first_child + index)};
}

ImageNode ImageNode::find(std::string_view child_name) const noexcept {
    for (std::uint32_t index = 0; index < size(); ++index)
        if (const ImageNode node = child(index); node.name() == child_name) return node;
    return {};
}

Image Image::open(int fd) {
    if (!is_sealed(fd)) refuse("the memory is not sealed");
    const std::size_t size = file_size(fd);
    if (size < sizeof(ImageHeader) || size > max_image_bytes) refuse("its size is out of bounds");
    Image image;
    image.mapping_ = map_private_read_only(fd, size);
    image.bytes_ = image.mapping_.bytes();
    image.verify();
    return image;
}

Image Image::view(std::span<const std::byte> bytes) {
    Image image;
    image.bytes_ = bytes;
    image.verify();
    return image;
}

ImageNode Image::root() const noexcept {
    return bytes_.empty() ? ImageNode() : ImageNode(bytes_.data(), record_at(bytes_.data(), 0));
}

void Image::verify() const {
    verify_header(bytes_);
    const ImageHeader& header = header_of(bytes_.data());
    // All of them first: a parent looks at its children's names.
    for (std::uint32_t index = 0; index < header.node_count; ++index)
        verify_record(*record_at(bytes_.data(), index), bytes_.size() - header.strings_offset);
    std::unordered_set<std::string_view> names;
    std::uint32_t next_child = 1;  // where the children of the next parent must begin
    std::uint32_t level_end = 1;   // the first node of the next level
    std::uint32_t depth = 0;
    for (std::uint32_t index = 0; index < header.node_count; ++index) {
        if (index == level_end) {
            level_end = next_child;
            if (++depth > max_image_depth) refuse("nested too deeply");
        }
        if (index >= next_child) refuse("a node has no parent");
        const ImageRecord& record = *record_at(bytes_.data(), index);
        if (record.child_count == 0) continue;
        if (record.first_child != next_child) refuse("a node's children are not where they belong");
        if (record.child_count > header.node_count - next_child)
            refuse("a node's children are out of bounds");
        next_child += record.child_count;
        verify_names(bytes_.data(), record, names);
    }
    if (record_at(bytes_.data(), 0)->type != static_cast<std::uint8_t>(ValueType::table))
        refuse("the root is not a table");
}

}  // namespace drover
