// AccessLine writes one line of the access log by a template: text with names in braces, compiled once.
// Values are escaped, so that nothing that a client sends ends a line or a quoted text: "\xHH", or "\u00HH"
// in a template that begins with "{{", which makes JSON. A value that is not there is "-", in JSON empty.
// Runs in: worker; checked in the config reader.
#pragma once

#include "modules/http/unsent_replies.h"

#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

namespace drover::http {

// A reply that has ended.
struct AccessEntry {
    const LoggedRequest& request;
    std::string_view peer;   // an address without its port
    std::string_view route;  // the label of its metrics
    unsigned status = 0;
    std::uint64_t bytes = 0;       // of the body that have left
    std::uint64_t bytes_sent = 0;  // with the head
    std::int64_t took_us = 0;
    bool aborted = false;
    std::time_t second = 0;
};

class AccessLine {
  public:
    // "common", "combined", "json", or a template. Throws std::invalid_argument that says what would be
    // right.
    explicit AccessLine(std::string_view format);

    // The line with its end. When it would be longer than `longest` bytes, what a client sent is cut within
    // its field, so that a line of JSON stays JSON.
    void append(std::string& out, const AccessEntry& entry, std::size_t longest = SIZE_MAX);
    const std::string& format() const noexcept { return format_; }

    // The names that a template may have: "{peer}, {status}, ...".
    static std::string names();

  private:
    enum class Field : std::uint8_t {
        literal,
        peer,
        time,
        time_clf,
        request,
        method,
        target,
        path,
        query,
        protocol,
        version,
        host,
        status,
        bytes,
        bytes_sent,
        seconds,
        route,
        aborted,
        referer,
        user_agent,
        header,
    };
    struct Piece {
        Field field = Field::literal;
        std::string text = {};  // a literal, or a header's name in lower case
    };
    struct Name;
    static const Name table[];

    void compile(std::string_view text);
    std::string_view take_name(std::string_view& text) const;
    void add_literal(std::string_view text);
    void add_field(std::string_view name);
    void append_fields(std::string& out, const AccessEntry& entry) const;
    void append_field(std::string& out, const Piece& piece, const AccessEntry& entry) const;
    void append_text(std::string& out, std::string_view text) const;
    void append_request(std::string& out, const LoggedRequest& request) const;
    void set_time(std::time_t second);

    std::string format_;
    std::vector<Piece> pieces_;
    bool json_ = false;
    std::size_t longest_text_ = SIZE_MAX;  // of one field of the line that is being written
    std::time_t second_ = -1;              // that these say
    std::string time_;
    std::string time_clf_;
};

}  // namespace drover::http
