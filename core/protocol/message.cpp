#include "core/protocol/message.h"

#include "core/counters/counter_rows.h"

namespace drover {
namespace {

constexpr MessageRule fixed(std::size_t size, std::size_t fds) noexcept {
    return {.min_size = size, .max_size = size, .min_fds = fds, .max_fds = fds};
}

constexpr MessageRule text(std::size_t min_fds, std::size_t max_fds) noexcept {
    return {.min_size = 0, .max_size = max_message_payload, .min_fds = min_fds, .max_fds = max_fds};
}

constexpr MessageRule empty_rule = fixed(0, 0);
constexpr MessageRule leave_rule = fixed(sizeof(LeaveMessage), 0);
constexpr MessageRule room_rule = fixed(sizeof(RoomMessage), 0);
constexpr MessageRule hello_rule = fixed(sizeof(Hello), 0);
constexpr MessageRule counter_table_rule = fixed(sizeof(CounterTableMessage), 2);
constexpr MessageRule image_rule = fixed(sizeof(GenerationMessage), 1);
constexpr MessageRule listener_rule = fixed(sizeof(ListenerMessage), 1);
constexpr MessageRule listener_ends_rule = fixed(sizeof(ListenerMessage), 0);
constexpr MessageRule generation_rule = fixed(sizeof(GenerationMessage), 0);
constexpr MessageRule question_rule = fixed(sizeof(QuestionMessage), 0);
constexpr MessageRule status_text_rule = fixed(sizeof(QuestionMessage), 1);
constexpr MessageRule counter_rows_rule = {
    .min_size = sizeof(QuestionMessage),
    .max_size = sizeof(QuestionMessage) + RowBatch::most_rows * sizeof(RowTicket),
    .min_fds = 0,
    .max_fds = RowBatch::most_rows};
constexpr MessageRule events_rule = {
    .min_size = sizeof(EventsMessage), .max_size = max_message_payload, .min_fds = 0, .max_fds = 0};
constexpr MessageRule handover_peer_rule = fixed(sizeof(HandoverPeer), 1);
constexpr MessageRule handover_result_rule = fixed(sizeof(HandoverResult), 0);
constexpr MessageRule handover_ack_rule = fixed(sizeof(HandoverAck), 0);
constexpr MessageRule handover_full_rule = fixed(sizeof(HandoverFull), 0);
constexpr MessageRule handover_connections_rule = {.min_size = sizeof(HandoverBatch),
                                                   .max_size = max_message_payload,
                                                   .min_fds = 1,
                                                   .max_fds = max_message_fds};
constexpr MessageRule text_rule = text(0, 0);
constexpr MessageRule text_and_file_rule = text(1, 1);
constexpr MessageRule config_image_rule = fixed(sizeof(ConfigImageMessage), 0);

}  // namespace

const MessageRule* find_message_rule(std::uint16_t type) noexcept {
    // No default: the compiler then names a type that was forgotten here.
    switch (static_cast<MessageType>(type)) {
        case MessageType::hello:
            return &hello_rule;
        case MessageType::counter_table:
            return &counter_table_rule;
        case MessageType::image:
            return &image_rule;
        case MessageType::library:
        case MessageType::listener:
        case MessageType::watch_listener:
            return &listener_rule;
        case MessageType::listener_ends:
            return &listener_ends_rule;
        case MessageType::leave:
            return &leave_rule;
        case MessageType::pool_full:
            return &room_rule;
        case MessageType::leave_wanted:
            return &empty_rule;
        case MessageType::start:
        case MessageType::serve:
        case MessageType::ready:
        case MessageType::prepare:
        case MessageType::commit:
        case MessageType::abandon:
        case MessageType::prepared:
        case MessageType::committed:
        case MessageType::stopped_accepting:
            return &generation_rule;
        case MessageType::log_files_sent:
        case MessageType::log_files_taken:
        case MessageType::status_published:
        case MessageType::status_wanted:
        case MessageType::counter_rows_wanted:
        case MessageType::events_wanted:
            return &question_rule;
        case MessageType::status_text:
            return &status_text_rule;
        case MessageType::counter_rows:
            return &counter_rows_rule;
        case MessageType::events:
            return &events_rule;
        case MessageType::handover_give:
        case MessageType::handover_take:
            return &handover_peer_rule;
        case MessageType::handover_connections:
            return &handover_connections_rule;
        case MessageType::handed_over:
            return &handover_result_rule;
        case MessageType::handover_ack:
            return &handover_ack_rule;
        case MessageType::handover_full:
            return &handover_full_rule;
        case MessageType::handover_begin:
        case MessageType::handover_part:
        case MessageType::not_prepared:
        case MessageType::failed:
        case MessageType::config_loading:
        case MessageType::config_rights:
        case MessageType::config_error:
        case MessageType::config_change:
            return &text_rule;
        case MessageType::log_file:
        case MessageType::module_file:
        case MessageType::next_module_file:
        case MessageType::config_library:
            return &text_and_file_rule;
        case MessageType::config_image:
            return &config_image_rule;
    }
    return nullptr;
}

}  // namespace drover
