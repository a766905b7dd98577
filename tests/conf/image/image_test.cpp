#include "conf/image/image.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <stdexcept>

#include <doctest/doctest.h>
#include <sys/mman.h>

using namespace drover;

namespace {

// { "t": "text", "l": [1, { "d": 250 ms }], "b": true, "w": 0 ("auto") }
ImageValue sample() {
    ImageValue root;
    root.children.push_back({.name = "t", .type = ValueType::text, .apply = Apply::hot, .text = "text"});
    ImageValue list{.name = "l", .type = ValueType::list, .is_default = true};
    list.children.push_back({.type = ValueType::integer, .integer = 1});
    ImageValue inner;
    inner.children.push_back({.name = "d", .type = ValueType::duration, .integer = 250});
    list.children.push_back(inner);
    root.children.push_back(list);
    root.children.push_back({.name = "b", .type = ValueType::boolean, .apply = Apply::restart, .integer = 1});
    root.children.push_back({.name = "w", .type = ValueType::integer, .text = "auto"});
    return root;
}

std::string fault(std::span<const std::byte> bytes) {
    try {
        Image::view(bytes);
    } catch (const std::runtime_error& error) {
        return error.what();
    }
    return "";
}

void fix_checksum(std::vector<std::byte>& bytes) {
    const std::uint64_t checksum = image_checksum(bytes);
    std::memcpy(bytes.data() + offsetof(ImageHeader, checksum), &checksum, sizeof checksum);
}

// What is wrong with the sample when a header or a record was changed and the checksum is right again.
std::string fault_with_header(const std::function<void(ImageHeader&)>& change) {
    std::vector<std::byte> bytes = build_image(sample());
    change(*reinterpret_cast<ImageHeader*>(bytes.data()));
    fix_checksum(bytes);
    return fault(bytes);
}

std::string fault_with_record(std::uint32_t index, const std::function<void(ImageRecord&)>& change) {
    std::vector<std::byte> bytes = build_image(sample());
    change(reinterpret_cast<ImageRecord*>(bytes.data() + sizeof(ImageHeader))[index]);
    fix_checksum(bytes);
    return fault(bytes);
}

// In the order in which they stand: 0 root; 1 t, 2 l, 3 b, 4 w; 5 l[0], 6 l[1]; 7 d.
constexpr std::uint32_t node_count = 8;

}  // namespace

TEST_CASE("an image reads as it was built") {
    const std::vector<std::byte> bytes = build_image(sample());
    const Image image = Image::view(bytes);
    CHECK(image.size() == bytes.size());
    const ImageNode root = image.root();
    REQUIRE(root.size() == 4);
    CHECK(root.type() == ValueType::table);
    CHECK(root.child(0).name() == "t");
    CHECK(root.find("t").text() == "text");
    CHECK(root.find("t").apply() == Apply::hot);
    CHECK(root.find("l").is_default());
    CHECK(root.find("l").child(0).integer() == 1);
    CHECK(root.find("l").child(1).find("d").type() == ValueType::duration);
    CHECK(root.find("l").child(1).find("d").integer() == 250);
    CHECK(root.find("b").boolean());
    CHECK(root.find("b").apply() == Apply::restart);
    CHECK(root.find("w").text() == "auto");
    CHECK(root.find("w").integer() == 0);
}

TEST_CASE("no node reads as empty") {
    const std::vector<std::byte> bytes = build_image(sample());
    const Image image = Image::view(bytes);
    for (const ImageNode& node :
         {image.root().find("x"), image.root().child(4), image.root().find("t").child(0)}) {
        CHECK(!node);
        CHECK(node.name().empty());
        CHECK(node.text().empty());
        CHECK(node.size() == 0);
        CHECK(node.integer() == 0);
        CHECK(!node.find("t"));
    }
}

TEST_CASE("every flipped bit and every truncation is noticed") {
    const std::vector<std::byte> good = build_image(sample());
    CHECK(fault(good).empty());
    for (std::size_t size = 0; size < good.size(); ++size)
        CHECK(!fault(std::span(good).first(size)).empty());
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
        std::vector<std::byte> bad = good;
        bad[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
        CHECK(!fault(bad).empty());
    }
    std::vector<std::byte> longer = good;
    longer.resize(longer.size() + 8);
    CHECK(!fault(longer).empty());
    std::vector<std::byte> shifted(good.size() + 1);
    std::memcpy(shifted.data() + 1, good.data(), good.size());
    CHECK(fault(std::span(shifted).subspan(1)) == "configuration image: not aligned");
}

TEST_CASE("a header that lies is refused though its checksum is right") {
    using Header = ImageHeader;
    CHECK(fault_with_header([](Header&) {}).empty());
    CHECK(fault_with_header([](Header& h) { h.magic ^= 1; }).find("not a configuration") !=
          std::string::npos);
    CHECK(fault_with_header([](Header& h) { h.version = 2; }).find("another version") != std::string::npos);
    CHECK(fault_with_header([](Header& h) { h.header_size = 48; }).find("header's size") !=
          std::string::npos);
    CHECK(fault_with_header([](Header& h) { h.header_size = ~0U; }).find("header's size") !=
          std::string::npos);
    CHECK(fault_with_header([](Header& h) { h.total_size += 1; }).find("its size") != std::string::npos);
    CHECK(fault_with_header([](Header& h) { h.node_count = 0; }).find("nodes are out") != std::string::npos);
    CHECK(fault_with_header([](Header& h) { h.node_count = ~0U; }).find("nodes are out") !=
          std::string::npos);
    CHECK(!fault_with_header([](Header& h) { h.node_count -= 1; }).empty());
    CHECK(fault_with_header([](Header& h) { h.node_stride = 32; }).find("stride") != std::string::npos);
    CHECK(fault_with_header([](Header& h) { h.node_stride = 41; }).find("stride") != std::string::npos);
    CHECK(fault_with_header([](Header& h) { h.node_stride = 0xfffffff8; }).find("nodes are out") !=
          std::string::npos);
    for (const std::uint64_t offset : {std::uint64_t{1} << 40, ~std::uint64_t{7}, std::uint64_t{60}})
        CHECK(fault_with_header([&](Header& h) { h.nodes_offset = offset; }).find("nodes are out") !=
              std::string::npos);
    CHECK(!fault_with_header([](Header& h) { h.nodes_offset = 0; }).empty());
    for (const std::uint64_t offset : {std::uint64_t{0}, ~std::uint64_t{0}, std::uint64_t{100}})
        CHECK(fault_with_header([&](Header& h) { h.strings_offset = offset; }).find("strings are out") !=
              std::string::npos);
    CHECK(!fault_with_header([](Header& h) { h.strings_offset += 1; }).empty());
}

TEST_CASE("a record that lies is refused though the checksum is right") {
    using Record = ImageRecord;
    const auto says = [](std::string_view text, std::string_view part) {
        return text.find(part) != std::string_view::npos;
    };
    for (const int type : {0, 8, 255})
        CHECK(says(fault_with_record(1, [&](Record& r) { r.type = std::uint8_t(type); }), "type"));
    for (const int apply : {0, 4, 255})
        CHECK(says(fault_with_record(1, [&](Record& r) { r.apply = std::uint8_t(apply); }), "applied"));
    CHECK(says(fault_with_record(1, [](Record& r) { r.is_default = 2; }), "default mark"));
    CHECK(says(fault_with_record(1, [](Record& r) { r.masking = 3; }), "secret mark"));
    CHECK(says(fault_with_record(3, [](Record& r) { r.integer = 2; }), "neither true nor false"));
    CHECK(says(fault_with_record(1, [](Record& r) { r.name_offset = ~0U; }), "name is out"));
    CHECK(says(fault_with_record(1, [](Record& r) { r.name_size = ~0U; }), "name is out"));
    CHECK(says(fault_with_record(1, [](Record& r) { r.text_offset = ~0U; }), "text is out"));
    CHECK(says(fault_with_record(1, [](Record& r) { r.text_size = 1000; }), "text is out"));
    CHECK(
        says(fault_with_record(0, [](Record& r) { r.type = std::uint8_t(ValueType::list); }), "has a name"));
    CHECK(says(fault_with_record(2, [](Record& r) { r.type = std::uint8_t(ValueType::table); }), "no name"));
    CHECK(says(fault_with_record(3, [](Record& r) { r.name_offset = 0; }), "one name"));
    CHECK(
        says(fault_with_record(2, [](Record& r) { r.type = std::uint8_t(ValueType::text); }), "plain value"));
    // Padding does not matter.
    CHECK(fault_with_record(1, [](Record& r) { r.reserved2 = 7; }).empty());
}

TEST_CASE("cycles, shared children and orphans are refused") {
    using Record = ImageRecord;
    for (std::uint32_t first = 0; first <= node_count; ++first) {
        if (first == 7) continue;
        CHECK_MESSAGE(!fault_with_record(6, [&](Record& r) { r.first_child = first; }).empty(), first);
    }
    CHECK(!fault_with_record(6, [](Record& r) { r.first_child = ~0U; }).empty());
    // Two parents of one node, and one whose children are another's.
    CHECK(!fault_with_record(5, [](Record& r) {
               r.type = std::uint8_t(ValueType::list);
               r.first_child = 7;
               r.child_count = 1;
           }).empty());
    CHECK(!fault_with_record(2, [](Record& r) { r.child_count = 3; }).empty());
    CHECK(!fault_with_record(2, [](Record& r) { r.child_count = 1; }).empty());
    CHECK(!fault_with_record(2, [](Record& r) { r.child_count = ~0U; }).empty());
    CHECK(!fault_with_record(6, [](Record& r) { r.child_count = 0; }).empty());
    CHECK(!fault_with_record(0, [](Record& r) { r.child_count = 0; }).empty());
}

TEST_CASE("build_image keeps its limits, and view knows them too") {
    ImageValue deep;
    for (std::uint32_t level = 0; level < max_image_depth; ++level) {
        ImageValue parent{.type = ValueType::list};
        parent.children.push_back(std::move(deep));
        deep = std::move(parent);
    }
    ImageValue root;
    deep.name = "x";
    CHECK(fault(build_image(deep)).find("root is not a table") != std::string::npos);
    root.children.push_back(std::move(deep));
    CHECK_THROWS_AS(build_image(root), std::length_error);

    ImageValue large;
    large.children.push_back(
        {.name = "x", .type = ValueType::text, .text = std::string(max_image_bytes, 'x')});
    CHECK_THROWS_AS(build_image(large), std::length_error);
}

TEST_CASE("equal strings are stored once") {
    ImageValue root;
    root.children.push_back({.name = "a", .type = ValueType::text, .text = std::string(1000, 'x')});
    root.children.push_back({.name = "b", .type = ValueType::text, .text = std::string(1000, 'x')});
    CHECK(build_image(root).size() < 1500);
}

TEST_CASE("a published image can be opened, and only when it is sealed") {
    const std::vector<std::byte> bytes = build_image(sample());
    const UniqueFd fd = create_image_memory();
    publish_image(bytes, fd.get());
    CHECK(is_sealed(fd.get()));
    Image image = Image::open(fd.get());
    const Image moved = std::move(image);
    CHECK(moved.root().find("t").text() == "text");
    CHECK(std::ranges::equal(moved.bytes(), bytes));

    const UniqueFd open_memory = create_memfd("test", bytes.size(), true);
    {
        const Mapping mapping = map_shared_writable(open_memory.get(), 0, bytes.size());
        std::memcpy(mapping.data(), bytes.data(), bytes.size());
    }
    CHECK_THROWS_WITH(Image::open(open_memory.get()), "configuration image: the memory is not sealed");
    for (const int seals : {F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW, F_SEAL_SEAL}) {
        REQUIRE(::fcntl(open_memory.get(), F_ADD_SEALS, seals) == 0);
        if (seals != F_SEAL_SEAL) CHECK_THROWS_AS(Image::open(open_memory.get()), std::runtime_error);
    }
    CHECK(Image::open(open_memory.get()).root().size() == 4);

    const UniqueFd tiny = create_memfd("test", 8, true);
    seal_memory(tiny.get());
    CHECK_THROWS_WITH(Image::open(tiny.get()), "configuration image: its size is out of bounds");
    const UniqueFd huge = create_memfd("test", max_image_bytes + 1, false);
    seal_memory(huge.get());
    CHECK_THROWS_WITH(Image::open(huge.get()), "configuration image: its size is out of bounds");
}
