// RequestHead is what one request says in its head. Views are into the bytes that were parsed. Runs in:
// worker.
#pragma once

#include <cstdint>
#include <string_view>

namespace drover::http {

enum class Method : std::uint8_t { get, head, other };

enum class Framing : std::uint8_t { none, sized, chunked };

struct RequestHead {
    Method method = Method::other;
    std::string_view method_name;
    std::string_view target;
    std::string_view path;    // of an origin or absolute target, without the query; "*"; empty for CONNECT
    std::string_view query;   // without the '?'
    std::string_view host;    // of an absolute target, else of the Host header; empty when 1.0 sent none
    std::string_view fields;  // all header lines, each with its line's end
    unsigned minor_version = 0;
    bool keep_alive = false;
    bool expects_continue = false;
    Framing framing = Framing::none;
    std::uint64_t content_length = 0;  // when sized; not 0
};

}  // namespace drover::http
