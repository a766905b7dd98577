// Any bytes, cut in any way, must come out of the HTTP parser as they do in one piece. The first bytes of the
// input say where to cut.
#include "modules/http/request_parser.h"
#include "tests/support/http_replay.h"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace {

constexpr std::size_t cut_count = 4;
// Small, so that inputs of a usual size come up to them.
constexpr drover::http::RequestLimits limits{.head_size = 256, .target_size = 64, .header_count = 8};
constexpr std::uint64_t max_body = 64;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < cut_count) return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + cut_count, size - cut_count);
    drover::test::HttpReplay whole(limits, max_body);
    whole.feed(bytes);

    drover::test::HttpReplay cut(limits, max_body);
    std::size_t at = 0;
    for (std::size_t index = 0; at < bytes.size(); ++index) {
        const std::size_t piece_size = std::size_t{data[index % cut_count]} + 1;
        cut.feed(bytes.substr(at, piece_size));
        at += piece_size;
    }
    const bool same = cut.transcript() == whole.transcript() && cut.refused() == whole.refused() &&
                      (cut.refused() || cut.kept() == whole.kept());
    if (same) return 0;
    std::fprintf(stderr, "in one piece: %s\nin pieces: %s\n", whole.transcript().c_str(),
                 cut.transcript().c_str());
    std::abort();
}
