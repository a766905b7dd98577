#include "worker/handover/handover_format.h"

#include <cstring>

namespace drover {

namespace {

// The version of the layout below. A worker that speaks another one refuses the record, and the connection
// stays where it is.
constexpr std::uint8_t format_version = 2;

// The layout on the wire; the three texts follow it.
struct Record {
    std::uint8_t version;
    std::uint8_t transport;
    std::uint8_t stage;
    std::uint8_t end_of_input;
    std::uint8_t linger_always;
    std::uint8_t output_ends;
    std::uint16_t listener;
    std::uint32_t time_limit_ms;
    std::uint32_t unsent_size;
    std::uint32_t input_size;
    std::uint32_t module_state_size;
    std::uint32_t file_position;
    std::uint32_t reserved;
    std::uint64_t file_offset;
    std::uint64_t file_length;  // 0: no file
};
static_assert(sizeof(Record) == 48);

// No file is longer: an offset behind it is no off_t.
constexpr std::uint64_t max_file_end = INT64_MAX;

std::string take_text(std::string_view& bytes, std::uint32_t size) {
    std::string text(bytes.substr(0, size));
    bytes.remove_prefix(size);
    return text;
}

}  // namespace

void append_record(std::string& to, const CarriedConnection& connection) {
    const Record record{
        .version = format_version,
        .transport = static_cast<std::uint8_t>(connection.transport),
        .stage = static_cast<std::uint8_t>(connection.stage),
        .end_of_input = connection.end_of_input,
        .linger_always = connection.linger_always,
        .output_ends = connection.output_ends,
        .listener = connection.listener,
        .time_limit_ms = connection.time_limit_ms,
        .unsent_size = static_cast<std::uint32_t>(connection.unsent.size()),
        .input_size = static_cast<std::uint32_t>(connection.input.size()),
        .module_state_size = static_cast<std::uint32_t>(connection.module_state.size()),
        .file_position = connection.file_position,
        .reserved = 0,
        .file_offset = connection.file.offset,
        .file_length = connection.file.length,
    };
    to.append(reinterpret_cast<const char*>(&record), sizeof(record));
    to.append(connection.unsent).append(connection.input).append(connection.module_state);
}

std::optional<CarriedConnection> take_record(std::string_view& bytes) {
    Record record;
    if (bytes.size() < sizeof(record)) return std::nullopt;
    std::memcpy(&record, bytes.data(), sizeof(record));
    if (record.version != format_version) return std::nullopt;
    const std::uint64_t texts =
        std::uint64_t{record.unsent_size} + record.input_size + record.module_state_size;
    if (texts > max_carried_bytes || texts > bytes.size() - sizeof(record)) return std::nullopt;
    if (record.transport != static_cast<std::uint8_t>(TransportKind::plain)) return std::nullopt;
    if (record.stage > static_cast<std::uint8_t>(CarriedConnection::Stage::lingering)) return std::nullopt;
    if (record.file_position > record.unsent_size) return std::nullopt;
    if (record.file_offset > max_file_end || record.file_length > max_file_end - record.file_offset)
        return std::nullopt;

    bytes.remove_prefix(sizeof(record));
    CarriedConnection connection;
    connection.stage = static_cast<CarriedConnection::Stage>(record.stage);
    connection.end_of_input = record.end_of_input != 0;
    connection.linger_always = record.linger_always != 0;
    connection.output_ends = record.output_ends != 0;
    connection.listener = record.listener;
    connection.time_limit_ms = record.time_limit_ms;
    connection.file_position = record.file_position;
    connection.file.offset = record.file_offset;
    connection.file.length = record.file_length;
    connection.unsent = take_text(bytes, record.unsent_size);
    connection.input = take_text(bytes, record.input_size);
    connection.module_state = take_text(bytes, record.module_state_size);
    return connection;
}

}  // namespace drover
