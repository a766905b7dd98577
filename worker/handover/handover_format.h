// How connections travel from one worker to another: the bytes of one handed connection, and back. Trusts
// nothing that it reads; knows no socket and no module. A batch is HandoverBatch followed by records, and for
// each record its descriptors: the socket, then, where a file is being sent, that file. A record that does
// not fit into one message travels ahead in handover_part messages. Runs in: worker (both
// sides of a hand-over).
#pragma once

#include "worker/stream/file_range.h"
#include "worker/stream/transport.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace drover {

// Connections of listeners that are no more have numbers from here on, so that they can still be told apart
// (worker/listener_names.h).
inline constexpr std::uint16_t first_gone_listener = 0x8000;

// What a connection carries beside its socket.
struct CarriedConnection {
    enum class Stage : std::uint8_t { open = 0, flushing, lingering };
    static constexpr std::uint32_t no_time_limit = 0xffffffff;

    TransportKind transport = TransportKind::plain;
    Stage stage = Stage::open;
    bool end_of_input = false;                    // the peer has ended its side
    bool linger_always = false;                   // how a connection that is closing ends
    std::uint16_t listener = 0;                   // index into the giver's table of listeners
    std::uint32_t time_limit_ms = no_time_limit;  // what is left of it
    bool output_ends = false;                     // end_output() was called
    std::string unsent;                           // output that has not left
    FileRange file = {};                          // what is left of a file that is being sent; length 0: none
    std::uint32_t file_position = 0;              // it goes out before this byte of `unsent`
    std::string input;                            // received and not consumed
    std::string module_state;                     // what the module said of it
};

// All three texts together; a connection with more is not movable.
inline constexpr std::size_t max_carried_bytes = 1024 * 1024;

// The file itself travels beside the record.
void append_record(std::string& to, const CarriedConnection& connection);

// Takes one record off the front of `bytes`; none when they are not a whole, valid record. A `file.length`
// above 0 says that a file's descriptor belongs to it.
std::optional<CarriedConnection> take_record(std::string_view& bytes);

}  // namespace drover
