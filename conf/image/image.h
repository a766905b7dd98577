// Image is one configuration as flat bytes: a header and a tree of nodes that describe themselves (name,
// type, how a change is applied), offsets instead of pointers. It lies in a sealed memfd; every process maps
// it read-only and checks it before use. Image trusts nothing that it maps: header, checksum, and each node's
// bounds are verified once, in open(); after that reading cannot fail. Runs in: config reader (ImageBuilder),
// master and worker (Image).
#pragma once

#include "core/memory/shared_memory.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace drover {

enum class ValueType : std::uint8_t {
    boolean = 1,
    integer,
    duration,  // integer, milliseconds
    size,      // integer, bytes
    text,
    list,   // children without names
    table,  // children with names
};

// What it takes to apply a change of the value.
enum class Apply : std::uint8_t {
    hot = 1,  // running workers can take it over
    fresh,    // new workers
    restart,  // a new master: a reload that changes it is refused
};

// What of a text is shown where values are shown.
enum class Masking : std::uint8_t {
    none,
    whole,       // "********"
    after_name,  // NAME=********
};

struct ImageHeader {
    static constexpr std::uint64_t expected_magic = 0x31474d4956524444;  // "DDRVIMG1"
    static constexpr std::uint32_t expected_version = 1;

    std::uint64_t magic = expected_magic;
    std::uint32_t version = expected_version;
    std::uint32_t header_size = sizeof(std::uint64_t) * 7;
    std::uint64_t total_size = 0;
    std::uint64_t checksum = 0;  // over the whole image, this field taken as 0
    std::uint32_t node_count = 0;
    std::uint32_t node_stride = 0;
    std::uint64_t nodes_offset = 0;
    std::uint64_t strings_offset = 0;
};
static_assert(sizeof(ImageHeader) == 56);

// Node 0 is the root table. The nodes stand breadth first: the children of node 0 follow it, then those of
// node 1, and so on, without a gap. So each node has exactly one parent, and there are no cycles.
struct ImageRecord {
    std::uint32_t name_offset = 0;  // in the strings
    std::uint32_t name_size = 0;
    std::uint8_t type = 0;   // ValueType
    std::uint8_t apply = 0;  // Apply
    std::uint8_t is_default = 0;
    std::uint8_t masking = 0;       // Masking
    std::uint32_t first_child = 0;  // node index; of a table or list
    std::uint32_t child_count = 0;
    std::uint32_t text_offset =
        0;  // in the strings; of a text, or the word that an integer stands for ("auto", "off")
    std::uint32_t text_size = 0;
    std::uint32_t reserved2 = 0;
    std::int64_t integer = 0;  // also boolean, duration, size
};
static_assert(sizeof(ImageRecord) == 40);

inline constexpr std::size_t max_image_bytes = 16 * 1024 * 1024;
inline constexpr std::uint32_t max_image_depth = 64;  // levels below the root

// One value of an image. "No node" reads as empty: no name, no children, 0.
class ImageNode {
  public:
    ImageNode() noexcept = default;  // no node

    explicit operator bool() const noexcept { return record_ != nullptr; }
    std::string_view name() const noexcept;
    ValueType type() const noexcept;
    Apply apply() const noexcept;
    bool is_default() const noexcept;
    Masking masking() const noexcept;
    bool boolean() const noexcept;
    std::int64_t integer() const noexcept;
    std::string_view text() const noexcept;  // valid as long as the image

    std::uint32_t size() const noexcept;                         // number of children
    ImageNode child(std::uint32_t index) const noexcept;         // no node beyond size()
    ImageNode find(std::string_view child_name) const noexcept;  // no node: there is no such child

  private:
    friend class Image;
    ImageNode(const std::byte* image, const ImageRecord* record) noexcept : image_(image), record_(record) {}
    const std::byte* image_ = nullptr;
    const ImageRecord* record_ = nullptr;
};

class Image {
  public:
    // Checks seals and size, maps MAP_PRIVATE read-only and verifies. Throws std::runtime_error that says
    // what is wrong.
    static Image open(int fd);
    // Verifies bytes that somebody else holds for as long as the image is used.
    static Image view(std::span<const std::byte> bytes);

    ImageNode root() const noexcept;
    std::size_t size() const noexcept { return bytes_.size(); }
    std::span<const std::byte> bytes() const noexcept { return bytes_; }

  private:
    Image() = default;
    void verify() const;

    Mapping mapping_;
    std::span<const std::byte> bytes_;
};

// What a configuration check produces before it is flattened.
struct ImageValue {
    std::string name = {};
    ValueType type = ValueType::table;
    Apply apply = Apply::fresh;
    bool is_default = false;
    Masking masking = Masking::none;
    std::int64_t integer = 0;
    std::string text = {};
    std::vector<ImageValue> children = {};
};

inline ImageValue text_value(std::string name, std::string text) {
    return {.name = std::move(name), .type = ValueType::text, .text = std::move(text)};
}

// The checksum that the header of `image` should carry.
std::uint64_t image_checksum(std::span<const std::byte> image) noexcept;
// The flat bytes of `root`. Throws std::length_error when they would exceed max_image_bytes or
// max_image_depth.
std::vector<std::byte> build_image(const ImageValue& root);
// A memfd for an image: empty, not sealed. Throws std::system_error.
UniqueFd create_image_memory();
// Copies the bytes into `memory` and seals it. Throws std::system_error.
void publish_image(std::span<const std::byte> image, int memory);

}  // namespace drover
