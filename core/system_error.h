// Throwing on a failed system call: the call's name, and what it was done to, stand in the message.
#pragma once

#include <cerrno>
#include <string>
#include <string_view>
#include <system_error>

namespace drover {

// Throws std::system_error "CALL WHAT: reason" for `error` (an errno value).
[[noreturn]] inline void throw_error(int error, std::string_view call, std::string_view what = {}) {
    std::string message(call);
    if (!what.empty()) message.append(" ").append(what);
    throw std::system_error(error, std::generic_category(), message);
}

// The same for the current errno.
[[noreturn]] inline void throw_errno(std::string_view call, std::string_view what = {}) {
    throw_error(errno, call, what);
}

// Passes a system call's result through; throws when it is -1.
inline int check_call(int result, std::string_view call, std::string_view what = {}) {
    if (result < 0) throw_errno(call, what);
    return result;
}

}  // namespace drover
