// ControlConnection is one caller of the control socket: his bytes in, his bytes out, and what he owes us. It
// never blocks. It decides about one caller alone; the ControlServer, who owns it, about all. Runs in: the
// master.
#pragma once

#include "core/base/unique_fd.h"
#include "core/loop/event_loop.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace drover {

class ControlConnection {
  public:
    enum class Phase : std::uint8_t {
        reading,  // he owes us a line
        waiting,  // we owe him an answer
        leaving,  // he goes when his output has left
    };

    // `socket` is non-blocking.
    ControlConnection(UniqueFd socket, std::size_t max_line, std::size_t max_unread_output) noexcept;

    int fd() const noexcept { return socket_.get(); }
    Phase phase() const noexcept { return phase_; }
    Interest interest() const noexcept;
    bool output_waits() const noexcept { return !output_.empty(); }
    // The machine lacked something for sending: nothing announces its end, flush() has to be tried again.
    bool short_of_room() const noexcept { return short_of_room_; }
    // He has not read an answer that brought descriptors along.
    bool descriptors_unread() noexcept;
    // More requests may have come with the one that is being answered, or the end.
    bool has_more_input() const noexcept { return half_closed_ || !input_.empty(); }
    bool half_closed() const noexcept { return half_closed_; }
    // He has closed his socket, not only its sending side.
    bool gone() const noexcept;

    // One read. False when the connection is dead.
    bool receive();
    // Sends what the socket takes. False when the connection is dead.
    bool flush() noexcept;

    // The next request, after which he waits; none while it is not complete, or when he had to be told to
    // leave.
    std::optional<std::string> take_line();
    // `fds` go with the text's first byte (SCM_RIGHTS). False, with nothing queued, when he reads too little
    // of what he is sent: also when descriptors wait already.
    bool queue(std::string_view text, std::vector<UniqueFd> fds = {});
    // His request is answered; he may send another.
    void answered() noexcept { phase_ = Phase::reading; }
    // Queues the error as the last that he gets.
    void leave(std::string_view error);

  private:
    ssize_t send_some() noexcept;

    UniqueFd socket_;
    std::size_t max_line_;
    std::size_t max_unread_output_;
    Phase phase_ = Phase::reading;
    bool half_closed_ = false;  // he will send nothing more
    std::string input_;
    std::string output_;
    std::size_t sent_ = 0;            // of the output
    std::vector<UniqueFd> attached_;  // go with the byte of the output at attached_at_
    std::size_t attached_at_ = 0;
    bool descriptors_sent_ = false;  // and perhaps unread
    bool short_of_room_ = false;
};

}  // namespace drover
