#include "worker/stream/connection_output.h"

#include "worker/stream/transport.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

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

ConnectionOutput::Sent ConnectionOutput::send(Transport& transport, BoundedSendfile* sendfile) {
    return pieces_.empty() ? send_bytes(transport) : send_pieces(transport, sendfile);
}

ConnectionOutput::Sent ConnectionOutput::send_bytes(Transport& transport) {
    const Transport::Taken taken = transport.send(std::string_view(bytes_).substr(sent_));
    if (!taken) return Sent::broken;
    consume(*taken);
    return empty() ? Sent::all : Sent::some;
}

ConnectionOutput::Sent ConnectionOutput::send_pieces(Transport& transport, BoundedSendfile* sendfile) {
    while (!empty()) {
        const bool file_is_next = first_piece_ < pieces_.size() && pieces_[first_piece_].position == sent_ &&
                                  pieces_[first_piece_].range.file != nullptr;
        const Sent sent = file_is_next ? send_file(transport, sendfile) : send_memory(transport);
        if (sent != Sent::all) return sent;
    }
    return Sent::all;
}

// All that stands in front of the next file.
ConnectionOutput::Sent ConnectionOutput::send_memory(Transport& transport) {
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

    const Transport::Taken taken = transport.send(std::span(parts).first(count), file_follows);
    if (!taken) return Sent::broken;
    consume(*taken);
    return *taken == total ? Sent::all : Sent::some;
}

ConnectionOutput::Sent ConnectionOutput::send_file(Transport& transport, BoundedSendfile* sendfile) {
    FileRange& range = pieces_[first_piece_].range;
    const auto step = static_cast<std::size_t>(std::min<std::uint64_t>(range.length, max_file_step));
    const Transport::Taken taken = transport.send_file(range, step, sendfile);
    if (!taken) return Sent::broken;
    range.offset += *taken;
    range.length -= *taken;
    size_ -= *taken;
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
