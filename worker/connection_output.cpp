#include "worker/connection_output.h"

#include "core/system_error.h"
#include "worker/bounded_sendfile.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

namespace drover {

namespace {

// Sent bytes in front of unsent ones are dropped when there are this many.
constexpr std::size_t compact_at = 64 * 1024;
constexpr std::size_t max_parts = 16;  // of one sendmsg(2)

}  // namespace

void ConnectionOutput::append(FileRange range) {
    if (range.length == 0) return;
    size_ += range.length;
    pieces_.push_back({bytes_.size(), {}, std::move(range)});
}

bool ConnectionOutput::append_contents(const FileRange& range) {
    const std::size_t before = bytes_.size();
    bytes_.resize(before + range.length);
    const ssize_t size =
        ::pread(range.file->get(), bytes_.data() + before, range.length, static_cast<off_t>(range.offset));
    if (size != static_cast<ssize_t>(range.length)) {
        bytes_.resize(before);
        return false;
    }
    size_ += range.length;
    return true;
}

void ConnectionOutput::append_borrowed(std::string_view bytes) {
    if (bytes.empty()) return;
    size_ += bytes.size();
    pieces_.push_back({bytes_.size(), bytes, {}});
}

ConnectionOutput::Sent ConnectionOutput::send(int socket, BoundedSendfile* sendfile) {
    return pieces_.empty() ? send_bytes(socket) : send_pieces(socket, sendfile);
}

ConnectionOutput::Sent ConnectionOutput::send_bytes(int socket) {
    const std::string_view unsent = std::string_view(bytes_).substr(sent_);
    const ssize_t sent = ::send(socket, unsent.data(), unsent.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) return try_again(errno) ? Sent::some : Sent::broken;
    consume(static_cast<std::size_t>(sent));
    return empty() ? Sent::all : Sent::some;
}

ConnectionOutput::Sent ConnectionOutput::send_pieces(int socket, BoundedSendfile* sendfile) {
    while (!empty()) {
        const bool file_is_next = first_piece_ < pieces_.size() && pieces_[first_piece_].position == sent_ &&
                                  pieces_[first_piece_].range.file != nullptr;
        const Sent sent = file_is_next ? send_file(socket, sendfile) : send_memory(socket);
        if (sent != Sent::all) return sent;
    }
    return Sent::all;
}

// All that stands in front of the next file.
ConnectionOutput::Sent ConnectionOutput::send_memory(int socket) {
    std::array<iovec, max_parts> parts;
    std::size_t count = 0;
    std::size_t total = 0;
    std::size_t at = sent_;
    bool file_follows = false;
    const auto add = [&](std::string_view part) {
        if (part.empty()) return;
        parts[count++] = {const_cast<char*>(part.data()), part.size()};
        total += part.size();
    };
    const std::string_view bytes = bytes_;
    std::size_t index = first_piece_;
    for (; index < pieces_.size() && count + 2 <= max_parts; ++index) {
        const Piece& piece = pieces_[index];
        add(bytes.substr(at, piece.position - at));
        at = piece.position;
        file_follows = piece.range.file != nullptr;
        if (file_follows) break;
        add(piece.borrowed);
    }
    if (index == pieces_.size() && count < max_parts) add(bytes.substr(at));

    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = count;
    // Head and beginning of a file leave in one packet.
    const int flags = MSG_NOSIGNAL | MSG_DONTWAIT | (file_follows ? MSG_MORE : 0);
    const ssize_t sent = ::sendmsg(socket, &message, flags);
    if (sent < 0) return try_again(errno) ? Sent::some : Sent::broken;
    consume(static_cast<std::size_t>(sent));
    return static_cast<std::size_t>(sent) == total ? Sent::all : Sent::some;
}

ConnectionOutput::Sent ConnectionOutput::send_file(int socket, BoundedSendfile* sendfile) {
    FileRange& range = pieces_[first_piece_].range;
    auto offset = static_cast<off_t>(range.offset);
    const auto step = static_cast<std::size_t>(std::min<std::uint64_t>(range.length, max_file_step));
    const ssize_t sent = sendfile != nullptr ? sendfile->send(socket, range.file->get(), offset, step)
                                             : ::sendfile(socket, range.file->get(), &offset, step);
    if (sent < 0) return try_again(errno) ? Sent::some : Sent::broken;
    if (sent == 0) return Sent::broken;
    range.offset += static_cast<std::uint64_t>(sent);
    range.length -= static_cast<std::uint64_t>(sent);
    size_ -= static_cast<std::uint64_t>(sent);
    if (range.length > 0) return Sent::some;
    range.file.reset();
    end_piece();
    return Sent::all;
}

void ConnectionOutput::end_piece() noexcept {
    if (++first_piece_ < pieces_.size()) return;
    pieces_.clear();
    first_piece_ = 0;
}

// `sent` bytes from the front, none of them a file's.
void ConnectionOutput::consume(std::size_t sent) noexcept {
    size_ -= sent;
    while (first_piece_ < pieces_.size()) {
        Piece& piece = pieces_[first_piece_];
        const std::size_t before = std::min(sent, piece.position - sent_);
        sent_ += before;
        sent -= before;
        if (sent_ < piece.position || piece.range.file != nullptr) return;
        const std::size_t borrowed = std::min(sent, piece.borrowed.size());
        piece.borrowed.remove_prefix(borrowed);
        sent -= borrowed;
        if (!piece.borrowed.empty()) return;
        end_piece();
    }
    sent_ += sent;
    if (sent_ >= compact_at && pieces_.empty() && sent_ * 2 > bytes_.size()) {
        bytes_.erase(0, sent_);
        sent_ = 0;
    }
}

std::unique_ptr<ConnectionOutput> ConnectionOutput::take_rest() {
    auto rest = std::make_unique<ConnectionOutput>();
    std::size_t at = sent_;
    for (; first_piece_ < pieces_.size(); ++first_piece_) {
        Piece& piece = pieces_[first_piece_];
        rest->append(std::string_view(bytes_).substr(at, piece.position - at));
        at = piece.position;
        rest->append(piece.borrowed);
        rest->append(std::move(piece.range));
    }
    rest->append(std::string_view(bytes_).substr(at));
    return rest;
}

void ConnectionOutput::clear(std::size_t keep) noexcept {
    if (bytes_.capacity() > keep) {
        bytes_ = std::string();
    } else {
        bytes_.clear();
    }
    pieces_.clear();
    sent_ = first_piece_ = 0;
    size_ = 0;
}

std::string ConnectionOutput::unsent_bytes() const {
    std::string unsent;
    std::size_t at = sent_;
    for (std::size_t index = first_piece_; index < pieces_.size(); ++index) {
        const Piece& piece = pieces_[index];
        unsent.append(bytes_, at, piece.position - at).append(piece.borrowed);
        at = piece.position;
    }
    return unsent.append(bytes_, at);
}

std::vector<ConnectionOutput::Place> ConnectionOutput::unsent_files() const {
    std::vector<Place> files;
    std::size_t borrowed = 0;
    for (std::size_t index = first_piece_; index < pieces_.size(); ++index) {
        const Piece& piece = pieces_[index];
        borrowed += piece.borrowed.size();
        if (piece.range.file != nullptr) files.push_back({piece.position - sent_ + borrowed, piece.range});
    }
    return files;
}

}  // namespace drover
