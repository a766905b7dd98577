// Every message that travels on a Channel, with the exact length and the number of descriptors each must
// have: a receiver refuses anything else. A message is this header, a fixed struct or a text, and
// descriptors. Numbers are fixed from version 0.1.0 on. Both ends run the same struct layouts today;
// `protocol_version` is negotiated by the first message (hello), so that a later master can talk to the
// workers of an earlier one.
#pragma once

#include <cstddef>
#include <cstdint>

namespace drover {

inline constexpr std::uint16_t protocol_version = 1;         // what this program speaks
inline constexpr std::uint16_t protocol_version_oldest = 1;  // and still understands
inline constexpr std::size_t max_message_fds = 252;  // the kernel's limit is 253 (unix(7), SCM_MAX_FD)
inline constexpr std::size_t max_message_payload = 32 * 1024;

enum class MessageType : std::uint16_t {
    hello = 1,  // both ways, sent by Channel itself, always the first

    // master to worker, in this order at start
    log_file,       // text: the target's name (core/log/log_target.h), [log]; again after USR1
    counter_table,  // CounterTableMessage, [table read-only, the worker's row read-write]
    image,          // GenerationMessage, [sealed memfd]
    library,        // ListenerMessage, [sealed copy]: a shared library of the image's list
    listener,       // ListenerMessage, [listening socket]
    module_file,    // text: absolute path, [file]; for modules to append to; again after USR1
    start,          // GenerationMessage: all that was promised has been sent; start the modules
    serve,          // GenerationMessage: every worker of the generation is ready; accept

    // a hot reload: image and listeners as at the start, then
    next_module_file,  // as module_file; if the path is in use already, from the commit on
    prepare,           // GenerationMessage: build what the generation needs beside what runs
    commit,            // GenerationMessage: put it in place
    abandon,           // GenerationMessage: let it go

    leave,  // LeaveMessage: the signal that follows is the master's own; one that comes without is somebody
            // else's

    watch_listener,  // ListenerMessage, [listening socket]: accept from this one, too, until it is surely
                     // empty
    listener_ends,   // ListenerMessage: nothing new comes there; the others that hold it leave, too
    pool_full,       // RoomMessage: whether any worker of the pool has room for new connections
    log_files_sent,  // QuestionMessage: log_file and module_file have been sent again, all of them
    handover_give,   // HandoverPeer, [socket]: give your connections to the worker behind it when you drain
    handover_take,   // HandoverPeer, [socket]: take what the worker behind it gives

    // answers to what a worker asked
    status_text,  // QuestionMessage, [memfd]: the status as JSON
    // to a worker of a pool that observes
    status_published,  // QuestionMessage: the status page is as the master knows it
    counter_rows,  // QuestionMessage and RowTicket for each, [rows, read-only] (core/counters/counter_rows.h)
    events,        // EventsMessage and lines of JSON: what has happened after the event it asked from

    // worker to master
    ready,         // GenerationMessage: modules have started
    failed,        // text: why it cannot start; the process then exits
    prepared,      // GenerationMessage: can commit
    not_prepared,  // text: the generation's number, a blank, why it cannot
    committed,     // GenerationMessage: serves it
    leave_wanted,  // empty: somebody told it to leave, or it has lost descriptors that it was sent; it serves
                   // until a successor takes over
    stopped_accepting,  // GenerationMessage: draining, takes no new connection
    log_files_taken,    // QuestionMessage of log_files_sent: lines go to the new files alone
    status_wanted,      // QuestionMessage: status_published where its pool observes, else status_text
    // of a pool that observes
    counter_rows_wanted,  // QuestionMessage: those after that one
    events_wanted,        // QuestionMessage, the last event known: answered once there is a later one
    handed_over,          // HandoverResult: how it came out, before the worker leaves

    // config reader to master
    config_rights,   // text: a piece of conf/reader/privileged_values.h; an empty one ends it
    config_loading,  // text: the shared library that is loaded next
    config_library,  // text: its path as the file has it, [sealed copy]; in the order of the image's list
    config_error,    // text: one finding, "file:line:column: message"; any number
    config_change,   // text: one line of the difference from the running image; any number
    config_image,    // ConfigImageMessage: the image is written and sealed; the last message

    // worker to worker, on a channel that the master made for the two
    handover_begin,        // text: the giver's listeners, a line each
    handover_part,         // bytes of a record that does not fit into one message; none: forget those before
    handover_connections,  // HandoverBatch and records, [for each its socket, then its file if it has one]
    handover_ack,   // HandoverAck: the answer to a batch; it belongs to the receiver once this has left
    handover_full,  // HandoverFull: the other answer: nothing of the batch was taken, for want of room
};

struct MessageHeader {
    std::uint16_t version = protocol_version;
    std::uint16_t type = 0;
    std::uint32_t payload_size = 0;
    std::uint16_t fd_count = 0;
    std::uint16_t reserved = 0;
    std::uint32_t reserved2 = 0;
};
static_assert(sizeof(MessageHeader) == 16);

struct Hello {
    std::uint16_t oldest = protocol_version_oldest;
    std::uint16_t newest = protocol_version;
    std::uint32_t reserved = 0;
};

struct CounterTableMessage {
    std::uint64_t instance = 0;
    std::uint32_t row = 0;
    std::uint32_t reserved = 0;
};

struct GenerationMessage {
    std::uint64_t generation = 0;
};

struct ListenerMessage {
    std::uint32_t index = 0;  // position in the pool's list of listeners, or in the image's of libraries
    std::uint32_t reserved = 0;
};

struct QuestionMessage {
    std::uint64_t number = 0;
};

// In front of the lines of one `events`, the oldest first.
struct EventsMessage {
    std::uint64_t last = 0;  // the number of the last line's event: what to ask from next
};

struct LeaveMessage {
    std::uint32_t limited = 1;  // by drain_timeout: TERM; else QUIT
    std::uint32_t reserved = 0;
};

struct RoomMessage {
    std::uint32_t full = 0;  // 1: every worker that serves holds max_connections
    std::uint32_t reserved = 0;
};

struct ConfigImageMessage {
    std::uint32_t change = 0;  // conf/image/diff.h: Change
    std::uint32_t reserved = 0;
};

struct HandoverPeer {
    std::uint64_t instance = 0;
};

// In front of the records of one handover_connections; worker/handover/handover_format.h has the records.
struct HandoverBatch {
    std::uint64_t sequence = 0;  // from 1
    std::uint32_t count = 0;     // records, each with one descriptor or two
    std::uint32_t reserved = 0;
};

struct HandoverAck {
    std::uint64_t sequence = 0;
    std::uint8_t refused[32] = {};  // a bit for each record that was not taken
};

// The giver keeps the batch, and tries again with what fits.
struct HandoverFull {
    std::uint64_t sequence = 0;
    std::uint32_t room = 0;  // descriptors that the receiver has free, as far as it knows
    std::uint32_t reserved = 0;
};

struct HandoverResult {
    std::uint64_t given = 0;    // connections that live on in other workers
    std::uint64_t ended = 0;    // connections that drain_timeout has ended
    std::uint64_t time_ms = 0;  // from the beginning of the drain to the last one that was given
};

// What a receiver demands of a message before anything looks at it.
struct MessageRule {
    std::size_t min_size = 0;
    std::size_t max_size = 0;
    std::size_t min_fds = 0;
    std::size_t max_fds = 0;
};

// Null for a type that does not exist.
const MessageRule* find_message_rule(std::uint16_t type) noexcept;

}  // namespace drover
