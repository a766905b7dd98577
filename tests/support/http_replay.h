// Feeds bytes to the HTTP parser in pieces, as a connection would, and writes down what comes out of it, so
// that tests and the fuzz target can compare: however the bytes are cut, the transcript must be the same.
// Runs in: tests.
#pragma once

#include "modules/http/body_reader.h"
#include "modules/http/request_parser.h"

#include <memory>
#include <string>
#include <string_view>

namespace drover::test {

class HttpReplay {
  public:
    explicit HttpReplay(const http::RequestLimits& limits = {}, std::uint64_t max_body = 1024)
        : parser_(limits), max_body_(max_body) {}

    void feed(std::string_view piece) {
        kept_ += piece;
        std::size_t used = 0;
        while (used < kept_.size() && !refused_) {
            const std::string_view rest = std::string_view(kept_).substr(used);
            const std::size_t taken = body_ != nullptr ? feed_body(rest) : feed_head(rest);
            if (taken == 0) break;
            used += taken;
        }
        kept_.erase(0, used);
    }

    // "GET /a host=x 1.1 keep" a request, ";" after each; "body=3" behind one that has a body; "!400" where
    // it was refused.
    const std::string& transcript() const { return transcript_; }
    bool refused() const { return refused_; }
    // Bytes that wait for more of their head.
    std::size_t kept() const { return kept_.size(); }

  private:
    std::size_t feed_head(std::string_view input) {
        const http::HeadResult result = parser_.parse(input, progress_);
        if (result.state == http::HeadState::incomplete) return result.consumed;
        if (result.state == http::HeadState::refused) return refuse(result.status);
        const http::RequestHead& head = parser_.head();
        constexpr const char* methods[] = {"GET", "HEAD", "OTHER"};
        transcript_ += methods[static_cast<unsigned>(head.method)];
        transcript_.append(" ").append(head.path).append(" host=").append(head.host);
        transcript_ += head.minor_version == 0 ? " 1.0" : " 1.1";
        transcript_ += head.keep_alive ? " keep" : " close";
        if (head.expects_continue) transcript_ += " expect";
        if (head.framing == http::Framing::none) {
            transcript_ += ";";
        } else if (head.content_length > max_body_) {
            return refuse(413);
        } else {
            body_ = std::make_unique<http::BodyReader>(head, max_body_);
            body_size_ = 0;
        }
        return result.consumed;
    }

    std::size_t feed_body(std::string_view input) {
        const std::size_t taken = body_->read(input);
        body_size_ += taken;
        if (const unsigned status = body_->refusal()) return refuse(status);
        if (body_->done()) {
            transcript_ += " body=" + std::to_string(body_size_) + ";";
            body_.reset();
        }
        return taken;
    }

    std::size_t refuse(unsigned status) {
        transcript_ += "!" + std::to_string(status);
        refused_ = true;
        return 0;
    }

    http::RequestParser parser_;
    std::uint64_t max_body_;
    http::HeadProgress progress_;
    std::unique_ptr<http::BodyReader> body_;
    std::size_t body_size_ = 0;  // on the wire
    std::string kept_;
    std::string transcript_;
    bool refused_ = false;
};

}  // namespace drover::test
