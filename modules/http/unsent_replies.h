// UnsentReplies holds replies that were written and have not left yet. A reply is counted and logged when its
// last byte has left, mostly at the end of the hook that wrote it. When the connection ends before, the reply
// is counted with the bytes that did leave. Hooks nest: the replies of the hook that ends are the last ones.
// A reply that the socket does not take at once moves to its connection (WaitingReplies), holds no generation
// alive, and travels with the connection when that is handed over. One for each worker. Runs in: worker.
#pragma once

#include "modules/http/exchange.h"
#include "modules/http/least_rate.h"
#include "modules/http/route_metrics.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace drover::http {

class HttpConnection;

// What a line of the access log says of a request.
struct LoggedRequest {
    std::string_view method = {};  // empty: the head was none
    std::string_view target = {};
    std::string_view host = {};
    std::string_view fields = {};  // header lines
    unsigned minor_version = 0;
};

// Some that are alike, as pipelined ones are.
struct UnsentReply {
    // Longer headers of a request that is kept are cut, at the end of a line.
    static constexpr std::size_t max_kept_fields = 4096;

    const HttpConnection* connection = nullptr;
    RouteMetrics* metrics = nullptr;  // null: to be found by `label`
    std::uint64_t label = 0;          // RouteMetrics::hash
    std::int64_t began_us = 0;
    std::uint64_t size = 0;  // bytes of each, head and chunks' framing included
    std::uint32_t head_size = 0;
    std::uint32_t count = 1;
    std::uint16_t status = 0;
    bool cut = false;     // its end was never written
    bool logged = false;  // has a request
    LoggedRequest request = {};
    std::string peer =
        {};  // of the first one in a hook, when it is logged: asked for before anything is sent
    std::unique_ptr<char[]> texts = {};       // of the request; null: they are the input's, or the exchange's
    std::shared_ptr<Exchange> exchange = {};  // null: not needed
    std::shared_ptr<HttpServer> server = {};  // that of `metrics`, when it is not the one that serves now

    std::uint64_t whole() const noexcept { return size * count; }
    bool is_like(const UnsentReply& other) const noexcept;
    // From now on its texts are in memory of its own.
    void keep_texts();
    // From now on it needs nobody else's memory.
    void keep();
};

class UnsentReplies {
  public:
    // Written in the hook of reply.connection that is running.
    void add(UnsentReply reply);
    bool has(const HttpConnection& connection) const noexcept {
        return !replies_.empty() && replies_.back().connection == &connection;
    }
    // Takes those of `connection`, in their order.
    template <class Take>
    void take(const HttpConnection& connection, Take take) {
        std::size_t first = replies_.size();
        while (first > 0 && replies_[first - 1].connection == &connection)
            --first;
        for (std::size_t index = first; index < replies_.size(); ++index)
            take(replies_[index]);
        replies_.resize(first);
    }

  private:
    std::vector<UnsentReply> replies_;
};

// Of one connection, in the order in which they leave.
class WaitingReplies {
  public:
    // The client is waited for from now on, by the deadline wheel's time.
    explicit WaitingReplies(LeastRate::Time now = LeastRate::Time(0)) noexcept : rate(now) {}

    // The client's address, which is asked for while the kernel still knows it; for the access log.
    std::string peer;
    LeastRate rate;
    std::uint64_t delivered = 0;  // bytes that rate has been told of

    bool empty() const noexcept { return replies_.empty(); }
    void add(UnsentReply reply);
    // Bytes of all that were ever added.
    std::uint64_t written() const noexcept { return written_; }
    // `sent` of written() have left. Takes those that have left whole, or, when the connection has `ended`,
    // all of them; calls finish(reply, bytes of it that have left).
    template <class Finish>
    void settle(std::uint64_t sent, bool ended, Finish finish) {
        std::size_t taken = 0;
        for (; taken < replies_.size(); ++taken) {
            const UnsentReply& reply = replies_[taken];
            if (!ended && sent < first_ + reply.whole()) break;
            finish(reply, std::min(sent - std::min(sent, first_), reply.whole()));
            first_ += reply.whole();
        }
        replies_.erase(replies_.begin(), replies_.begin() + static_cast<std::ptrdiff_t>(taken));
    }

    // For a hand-over, with what the rate has left. False when they are too many.
    bool append_to(std::string& state, LeastRate::Time now) const;
    // Into an empty one; its rate begins at time 0. Throws std::runtime_error for a state that append_to
    // cannot have written.
    void take_from(std::string_view state);

  private:
    std::vector<UnsentReply> replies_;
    std::uint64_t written_ = 0;
    std::uint64_t first_ = 0;  // where the first of replies_ begins in written_
};

}  // namespace drover::http
