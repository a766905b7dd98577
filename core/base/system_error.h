// Throwing on a failed system call: the call's name, and what it was done to, stand in the message.
#pragma once

#include <cerrno>
#include <exception>
#include <new>
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

// True for what says nothing of the input: memory, descriptors, processes or room that were missing, a device
// that failed. Another try may succeed.
inline bool is_shortage(const std::error_code& reason) noexcept {
    for (const int code : {ENOMEM, EAGAIN, EMFILE, ENFILE, ENOBUFS, ENOSPC, EDQUOT, EIO, EINTR}) {
        if (reason == std::error_code(code, std::generic_category())) return true;
    }
    return false;
}
inline bool is_shortage(const std::exception& failure) noexcept {
    if (dynamic_cast<const std::bad_alloc*>(&failure) != nullptr) return true;
    const auto* const error = dynamic_cast<const std::system_error*>(&failure);
    return error != nullptr && is_shortage(error->code());
}

// Within a catch block: what the exception says, whatever its type.
inline std::string caught_text() {
    try {
        throw;
    } catch (const std::exception& failure) {
        return failure.what();
    } catch (...) {
        return "an exception that is no std::exception";
    }
}

// Passes a system call's result through; throws when it is -1.
inline int check_call(int result, std::string_view call, std::string_view what = {}) {
    if (result < 0) throw_errno(call, what);
    return result;
}

// A call that would block or was interrupted: nothing has failed.
inline bool try_again(int error) noexcept {
    return error == EAGAIN || error == EINTR;
}

}  // namespace drover
