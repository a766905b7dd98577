// ConnectionOutput is what a connection has to send, in order: bytes, ranges of files, and bytes that
// somebody else keeps for a moment. A worker has one, kept warm, for the connection in whose hook it is; a
// connection has one of its own only while its socket takes no more. Runs in: worker.
#pragma once

#include "worker/stream/file_range.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace drover {

class BoundedSendfile;
class Transport;

class ConnectionOutput {
  public:
    // A file is sent in steps of this size, a step an event, so that a fast client does not hold up the
    // others.
    static constexpr std::size_t max_file_step = 1024 * 1024;

    bool empty() const noexcept { return size_ == 0; }
    // Bytes to send, those in files included.
    std::uint64_t size() const noexcept { return size_; }

    void append(std::string_view bytes) {
        bytes_.append(bytes);
        size_ += bytes.size();
    }
    void append(FileRange range);
    // Reads it now instead: one system call less for a small one. False when the file is shorter or cannot be
    // read.
    bool append_contents(const FileRange& range);
    static constexpr std::uint64_t small_file = 16 * 1024;
    // `bytes` must stay where they are until take_rest() or clear().
    void append_borrowed(std::string_view bytes);

    enum class Sent : std::uint8_t {
        all,
        some,    // the socket takes no more, or a file's step is done
        broken,  // the connection is, or a file is shorter than it was
    };
    // `sendfile`: for a socket that another process may hold, too; null for one that is private.
    Sent send(Transport& transport, BoundedSendfile* sendfile = nullptr);

    // What is left, as an output that borrows nothing.
    std::unique_ptr<ConnectionOutput> take_rest();
    // Memory is kept, unless it is more than `keep` bytes.
    void clear(std::size_t keep = SIZE_MAX) noexcept;

    // For a hand-over: the bytes that are left, and between them (before the byte `position`) the files.
    struct Place {
        std::size_t position = 0;
        FileRange range;
    };
    std::string unsent_bytes() const;
    std::vector<Place> unsent_files() const;

  private:
    // Stands in front of bytes_[position].
    struct Piece {
        std::size_t position = 0;
        std::string_view borrowed;  // of a piece without a file
        FileRange range;
    };

    Sent send_bytes(Transport& transport);
    Sent send_pieces(Transport& transport, BoundedSendfile* sendfile);
    Sent send_memory(Transport& transport);
    Sent send_file(Transport& transport, BoundedSendfile* sendfile);
    void consume(std::size_t sent) noexcept;
    void end_piece() noexcept;

    std::string bytes_;
    std::size_t sent_ = 0;  // of bytes_
    std::vector<Piece> pieces_;
    std::size_t first_piece_ = 0;
    std::uint64_t size_ = 0;
};

}  // namespace drover
