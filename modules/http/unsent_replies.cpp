#include "modules/http/unsent_replies.h"

#include "modules/http/http_options.h"
#include "modules/http/http_server.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace drover::http {

namespace {

constexpr std::size_t max_carried_state = 256 * 1024;

// Bounds of what a hand-over says. No connection writes so many bytes, and none is a hundred years late.
constexpr std::uint64_t max_written = 1ULL << 62;
constexpr std::int64_t min_rate_left_ms = -100LL * 365 * 24 * 60 * 60 * 1000;

// The layout in a hand-over: a Progress, then for each reply a Record and the texts of its request.
struct Progress {
    std::uint64_t first;
    std::uint64_t delivered;
    std::int64_t rate_left_ms;
};
static_assert(sizeof(Progress) == 24);

bool can_be(const Progress& progress) noexcept {
    return progress.first <= max_written && progress.rate_left_ms >= min_rate_left_ms &&
           progress.rate_left_ms <= HttpOptions::max_send_timeout_ms;
}

struct Record {
    std::uint64_t label;
    std::int64_t began_us;
    std::uint64_t size;
    std::uint32_t head_size;
    std::uint32_t count;
    std::uint16_t status;
    std::uint8_t cut;
    std::uint8_t logged;
    std::uint32_t minor_version;
    std::array<std::uint32_t, 4> text_sizes;
};
static_assert(sizeof(Record) == 56);

std::array<std::string_view*, 4> texts_of(LoggedRequest& request) noexcept {
    return {&request.method, &request.target, &request.host, &request.fields};
}

std::string_view cut_fields(std::string_view fields) noexcept {
    if (fields.size() <= UnsentReply::max_kept_fields) return fields;
    const std::size_t end = fields.substr(0, UnsentReply::max_kept_fields).rfind('\n');
    return end == std::string_view::npos ? std::string_view() : fields.substr(0, end + 1);
}

// Moves the texts into memory of their own.
std::unique_ptr<char[]> copy_texts(LoggedRequest& request) {
    std::size_t size = 0;
    for (const std::string_view* const text : texts_of(request))
        size += text->size();
    auto texts = std::make_unique<char[]>(size);
    char* to = texts.get();
    for (std::string_view* const text : texts_of(request)) {
        const std::size_t copied = text->copy(to, text->size());
        *text = {to, copied};
        to += copied;
    }
    return texts;
}

void append(std::vector<UnsentReply>& replies, UnsentReply reply) {
    if (!replies.empty() && replies.back().is_like(reply))
        replies.back().count += reply.count;
    else
        replies.push_back(std::move(reply));
}

}  // namespace

bool UnsentReply::is_like(const UnsentReply& other) const noexcept {
    return !logged && !other.logged && !cut && !other.cut && server == nullptr && other.server == nullptr &&
           connection == other.connection && metrics == other.metrics && label == other.label &&
           began_us == other.began_us && size == other.size && status == other.status &&
           head_size == other.head_size;
}

void UnsentReply::keep_texts() {
    if (!logged || texts != nullptr) return;
    request.fields = cut_fields(request.fields);
    texts = copy_texts(request);
}

void UnsentReply::keep() {
    metrics = nullptr;
    keep_texts();
    exchange.reset();
    server.reset();
}

void UnsentReplies::add(UnsentReply reply) {
    append(replies_, std::move(reply));
}

void WaitingReplies::add(UnsentReply reply) {
    reply.keep();
    written_ += reply.whole();
    append(replies_, std::move(reply));
}

bool WaitingReplies::append_to(std::string& state, LeastRate::Time now) const {
    const Progress progress{
        .first = first_, .delivered = std::min(delivered, written_), .rate_left_ms = rate.left(now).count()};
    state.append(reinterpret_cast<const char*>(&progress), sizeof progress);
    for (const UnsentReply& reply : replies_) {
        LoggedRequest request = reply.request;
        Record record{.label = reply.label,
                      .began_us = reply.began_us,
                      .size = reply.size,
                      .head_size = reply.head_size,
                      .count = reply.count,
                      .status = reply.status,
                      .cut = reply.cut,
                      .logged = reply.logged,
                      .minor_version = request.minor_version,
                      .text_sizes = {}};
        std::size_t index = 0;
        for (const std::string_view* const text : texts_of(request))
            record.text_sizes[index++] = static_cast<std::uint32_t>(text->size());
        state.append(reinterpret_cast<const char*>(&record), sizeof record);
        for (const std::string_view* const text : texts_of(request))
            state.append(*text);
        if (state.size() > max_carried_state) return false;
    }
    return true;
}

void WaitingReplies::take_from(std::string_view state) {
    const auto check = [](bool known) {
        if (!known) throw std::runtime_error("http: unknown replies of a connection");
    };
    const auto take = [&state, &check](std::size_t size) {
        check(size <= state.size());
        const std::string_view taken = state.substr(0, size);
        state.remove_prefix(size);
        return taken;
    };
    Progress progress;
    std::memcpy(&progress, take(sizeof progress).data(), sizeof progress);
    check(can_be(progress));
    first_ = written_ = progress.first;
    delivered = progress.delivered;
    rate = LeastRate(LeastRate::Time(0), LeastRate::Time(progress.rate_left_ms));
    while (!state.empty()) {
        Record record;
        std::memcpy(&record, take(sizeof record).data(), sizeof record);
        std::uint64_t whole = 0;
        check(!__builtin_mul_overflow(record.size, record.count, &whole) && whole <= max_written - written_);
        UnsentReply reply{.label = record.label,
                          .began_us = record.began_us,
                          .size = record.size,
                          .head_size = record.head_size,
                          .count = record.count,
                          .status = record.status,
                          .cut = record.cut != 0,
                          .logged = record.logged != 0};
        reply.request.minor_version = record.minor_version;
        std::size_t index = 0;
        for (std::string_view* const text : texts_of(reply.request))
            *text = take(record.text_sizes[index++]);
        add(std::move(reply));
    }
    check(delivered <= written_);
}

}  // namespace drover::http
