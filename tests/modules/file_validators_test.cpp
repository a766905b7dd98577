// Tags and dates tell one version of a file from another.
#include "modules/http/file_validators.h"

#include "core/base/unique_fd.h"
#include "tests/support/temporary_folder.h"

#include <cstdint>
#include <fstream>
#include <string>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>

#define XXH_INLINE_ALL  // no library to link
#include <xxhash.h>

using namespace drover::http;

namespace {

constexpr std::time_t present = 1'800'000'000;

struct stat file_of(std::time_t modified, off_t size, ino_t inode = 1) {
    struct stat status {};
    status.st_mode = S_IFREG;
    status.st_ino = inode;
    status.st_size = size;
    status.st_mtim.tv_sec = modified;
    return status;
}

std::uint64_t content_hash(std::string_view bytes) {
    return XXH64(bytes.data(), bytes.size(), 0);
}

}  // namespace

TEST_CASE("what a tag is made of") {
    constexpr std::int64_t large = FileValidators::max_read_bytes + 1;
    CHECK(choose_tag_source(file_of(present - 2, large), present, false) == TagSource::times);
    CHECK(choose_tag_source(file_of(present - 1, 1), present, false) == TagSource::young_times);
    CHECK(choose_tag_source(file_of(present, 1), present, false) == TagSource::young_times);
    CHECK(choose_tag_source(file_of(present + 1, 1), present, false) == TagSource::contents);
    CHECK(choose_tag_source(file_of(present + 1, large), present, false) == TagSource::nothing);
    for (const std::time_t early : {-1, 0, 1, 86400}) {
        CHECK(choose_tag_source(file_of(early, large - 1), present, false) == TagSource::contents);
        CHECK(choose_tag_source(file_of(early, large), present, false) == TagSource::nothing);
    }
    CHECK(choose_tag_source(file_of(86401, 1), present, false) == TagSource::times);
    CHECK(choose_tag_source(file_of(86401, 1), present, true) == TagSource::contents);
    CHECK(choose_tag_source(file_of(86401, large), present, true) == TagSource::nothing);
}

TEST_CASE("versions of a name that were seen are remembered, up to a number") {
    const drover::test::TemporaryFolder folder;
    std::ofstream(folder.file("a")) << "0123";
    const drover::UniqueFd file(::open(folder.file("a").c_str(), O_RDONLY | O_CLOEXEC));
    FileValidators validators;
    const auto tag = [&](const std::string& name, ino_t inode, std::time_t modified = 1'000'000) {
        return validators.find(name, file.get(), file_of(modified, 4, inode), present).etag;
    };
    const std::string of_times = tag("a", 1);
    CHECK(of_times == "\"38d7ea4c68000-4\"");
    CHECK(tag("a", 1) == of_times);
    const std::string of_contents = tag("a", 2);
    CHECK(of_contents == fmt::format("\"{:016x}\"", content_hash("0123")));
    CHECK(tag("a", 2) == of_contents);
    CHECK(tag("b", 2) == of_times);
    CHECK(tag("a.gz", 1) == "\"38d7ea4c68000-4-gz\"");
    CHECK(tag("a", 2, 2'000'000) == "\"71afd498d0000-4\"");
    // Shorter than its status says: it is being written.
    CHECK(validators.find("c", file.get(), file_of(1, 5), present).etag.empty());

    for (std::size_t index = 0; index < FileValidators::max_names; ++index)
        tag(std::to_string(index), 1);
    CHECK(validators.size() <= FileValidators::max_names);
}

TEST_CASE("more names than are remembered, in turn: most contents are not read again") {
    const drover::test::TemporaryFolder folder;
    std::ofstream(folder.file("a")) << "0123";
    const drover::UniqueFd file(::open(folder.file("a").c_str(), O_RDONLY | O_CLOEXEC));
    FileValidators validators;
    constexpr std::size_t names = FileValidators::max_names * 5 / 4;
    const auto ask_for_all = [&] {
        const std::uint64_t before = validators.bytes_read();
        for (std::size_t index = 0; index < names; ++index)
            CHECK_FALSE(
                validators.find(std::to_string(index), file.get(), file_of(1, 4), present).etag.empty());
        return (validators.bytes_read() - before) / 4;
    };
    CHECK(ask_for_all() == names);
    for (int round = 0; round < 4; ++round)
        CHECK(ask_for_all() < names * 3 / 4);
    CHECK(validators.size() == FileValidators::max_names);
}

TEST_CASE("so much is read for tags in a second; the next has its own") {
    const drover::test::TemporaryFolder folder;
    const std::string contents(FileValidators::max_read_bytes, 'x');
    drover::test::write_file(folder.file("a"), contents);
    const drover::UniqueFd file(::open(folder.file("a").c_str(), O_RDONLY | O_CLOEXEC));
    FileValidators validators;
    const auto tag = [&](int name, std::time_t now) {
        return validators
            .find(std::to_string(name), file.get(), file_of(1, FileValidators::max_read_bytes), now)
            .etag;
    };
    const std::string expected = fmt::format("\"{:016x}\"", content_hash(contents));
    for (int name = 0; name < 32; ++name)
        CHECK(tag(name, present) == expected);
    CHECK(tag(32, present) == "");
    CHECK(tag(0, present) == expected);  // it is known
    CHECK(tag(32, present + 1) == expected);
}
