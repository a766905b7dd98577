// What a connection sends: gathered in a hook, sent after it, and what waits for the socket.
#include "core/system_error.h"
#include "worker/connection.h"

#include <cerrno>
#include <utility>

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace drover {

// What the socket does not take, or what is written in a hook.
ConnectionOutput& Connection::gathered() {
    if (output_ != nullptr) return *output_;
    if (services_.connections.in_hook(*this)) return services_.connections.outbox_;
    output_ = std::make_unique<ConnectionOutput>();
    return *output_;
}

BoundedSendfile* Connection::bounded_sendfile() const noexcept {
    return may_be_shared_ ? &services_.connections.bounded_sendfile_ : nullptr;
}

void Connection::note_written(const ConnectionOutput& output) noexcept {
    if (output.size() >= output_high_mark) above_mark_ = true;
}

void Connection::write(std::string_view bytes) {
    if (state_ != State::open || output_ends_ || bytes.empty()) return;
    if (output_ == nullptr && !held_ && !services_.connections.in_hook(*this)) {
        const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && !try_again(errno)) return retire();
        if (sent > 0) services_.connections.sent_.add(static_cast<std::uint64_t>(sent));
        if (sent > 0) bytes.remove_prefix(static_cast<std::size_t>(sent));
        if (bytes.empty()) return;
    }
    ConnectionOutput& output = gathered();
    output.append(bytes);
    note_written(output);
    if (&output == output_.get()) update_interest();
}

void Connection::write_borrowed(std::string_view bytes) {
    if (state_ != State::open || output_ends_) return;
    if (output_ != nullptr || !services_.connections.in_hook(*this)) return write(bytes);
    services_.connections.outbox_.append_borrowed(bytes);
    note_written(services_.connections.outbox_);
}

void Connection::send_file(FileRange range) {
    if (state_ != State::open || output_ends_) return;
    if (output_ == nullptr && !services_.connections.in_hook(*this))
        return in_hook([&] { send_file(std::move(range)); });
    ConnectionOutput& output = gathered();
    if (range.length <= ConnectionOutput::small_file) {
        if (!output.append_contents(range)) return abort();
    } else {
        output.append(std::move(range));
    }
    note_written(output);
}

std::uint64_t Connection::unsent_bytes() const noexcept {
    if (output_ != nullptr) return output_->size();
    return services_.connections.in_hook(*this) ? services_.connections.outbox_.size() : 0;
}

std::uint64_t Connection::unacknowledged_bytes() const noexcept {
    int bytes = 0;
    return ::ioctl(socket_.get(), SIOCOUTQ, &bytes) == 0 && bytes > 0 ? static_cast<std::uint64_t>(bytes) : 0;
}

bool Connection::writable() const noexcept {
    return state_ == State::open && !output_ends_ && !above_mark_;
}

void Connection::end_output() {
    if (state_ != State::open) return;
    output_ends_ = true;
    if (!services_.connections.in_hook(*this)) settle();
}

void Connection::flush_outbox() {
    ConnectionOutput& outbox = services_.connections.outbox_;
    if (outbox.empty()) return;
    if (held_) {
        output_ = outbox.take_rest();
        return;
    }
    const std::uint64_t before = outbox.size();
    const ConnectionOutput::Sent sent = outbox.send(socket_.get(), bounded_sendfile());
    services_.connections.sent_.add(before - outbox.size());
    switch (sent) {
        case ConnectionOutput::Sent::all:
            return;
        case ConnectionOutput::Sent::some:
            output_ = outbox.take_rest();
            return;
        case ConnectionOutput::Sent::broken:
            return retire();
    }
}

void Connection::send_waiting() {
    const std::uint64_t before = output_->size();
    const ConnectionOutput::Sent sent = output_->send(socket_.get(), bounded_sendfile());
    services_.connections.sent_.add(before - output_->size());
    if (sent == ConnectionOutput::Sent::broken) return retire();
    if (output_->size() < before) on_progress();
    if (sent == ConnectionOutput::Sent::some) return relieve();
    output_.reset();
    on_flushed();
    relieve();
    if (state_ == State::open && output_ == nullptr) run_hook([this] { on_sent(); });
    resumed_ = false;
    if (deliverable()) deliver({});
    settle();
}

// Not at once when a hook has written so much and the socket took it: who always has more to send would never
// let others have a turn.
void Connection::relieve() {
    if (!above_mark_ || state_ != State::open) return;
    if (output_ != nullptr && output_->size() >= output_low_mark) return;
    above_mark_ = false;
    run_hook([this] { on_writable(); });
}

void Connection::finish_output() {
    output_ended_ = true;
    ::shutdown(socket_.get(), SHUT_WR);
}

}  // namespace drover
