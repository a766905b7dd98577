// Request is what a handler sees of one request. All views are into bytes that are valid during the call that
// was given the Request, and no longer: copy what is needed later. Runs in: worker.
#pragma once

#include "core/net/address.h"
#include "modules/http/request_head.h"

#include <optional>
#include <string>
#include <string_view>

namespace drover::http {

class HttpConnection;

// A header as it was sent; the value is without the blanks around it.
struct Field {
    std::string_view name;
    std::string_view value;
};

// Takes the first line off a block of complete, checked header lines; false when there is none.
bool take_field(std::string_view& block, Field& field) noexcept;
// The value of the first header of that name, which is given in lower case; none when there is no such
// header.
std::optional<std::string_view> find_field(std::string_view block, std::string_view lower_case_name) noexcept;

// The values of all headers of that name as one list (RFC 9110, 5.3); empty when there is none.
std::string joined_fields(std::string_view block, std::string_view lower_case_name);

class Request {
  public:
    Request(const RequestHead& head, std::string_view resolved_path, std::string_view body,
            const HttpConnection& connection) noexcept
        : head_(head), resolved_path_(resolved_path), body_(body), connection_(connection) {}

    std::string_view method() const noexcept { return head_.method_name; }
    bool is_head() const noexcept { return head_.method == Method::head; }
    // As sent: "/a%20b?c", and its two parts without the '?'.
    std::string_view target() const noexcept { return head_.target; }
    std::string_view path() const noexcept { return head_.path; }
    std::string_view query() const noexcept { return head_.query; }
    // The path with its escapes decoded and without empty, "." and ".." segments: what the route was chosen
    // by.
    std::string_view resolved_path() const noexcept { return resolved_path_; }
    // With its port, when it was sent with one; empty only in HTTP/1.0.
    std::string_view host() const noexcept { return head_.host; }
    unsigned minor_version() const noexcept { return head_.minor_version; }

    // The value of the first header of that name, which is given in lower case; empty when there is none.
    std::string_view header(std::string_view lower_case_name) const noexcept {
        return find_field(head_.fields, lower_case_name).value_or(std::string_view());
    }
    bool has_header(std::string_view lower_case_name) const noexcept {
        return find_field(head_.fields, lower_case_name).has_value();
    }
    // All header lines, for take_field().
    std::string_view fields() const noexcept { return head_.fields; }

    // The whole of it, without chunks; empty where the handler streams it.
    std::string_view body() const noexcept { return body_; }

    // Asked of the kernel at each call. An IPv4 client of a listener for both has an IPv4 address;
    // host_text() is it alone, text() has the port.
    Address peer_address() const;
    Address local_address() const;

    const RequestHead& head() const noexcept { return head_; }

  private:
    const RequestHead& head_;
    std::string_view resolved_path_;
    std::string_view body_;
    const HttpConnection& connection_;
};

}  // namespace drover::http
