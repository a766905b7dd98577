// How values are written in a configuration file, and read from it: durations, sizes, words, texts.
// Runs in: every process.
#pragma once

#include "conf/image/image.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace drover {

// "250ms", "30s", "1m30s", "2h", "1d" to milliseconds, the larger unit first; "65536", "64K", "64k", "64KiB"
// (1024), "10kB", "10MB" (1000) to bytes, up to "G". None when it is not one, or does not fit 64 bits.
std::optional<std::int64_t> parse_duration(std::string_view text) noexcept;
std::optional<std::int64_t> parse_size(std::string_view text) noexcept;

// With the largest unit that divides it; 0 is "0".
std::string duration_text(std::int64_t milliseconds);
std::string size_text(std::int64_t bytes);

// A TOML basic string. Control characters are escaped, so that it stays on its line.
std::string toml_string(std::string_view text);

// The text of a node, "********" in place of what is secret.
std::string shown_text(const ImageNode& node);

// A value as TOML, without quotes the bare number of a duration or size: `30s`, `"fast"`, `["a", "b"]`, `{ a
// = 1 }`. With `quoted` what a file would hold: `"30s"`. Secrets are masked.
std::string value_text(const ImageNode& node, bool quoted);
std::string integer_text(ValueType type, std::int64_t integer, bool quoted);

// A list that TOML writes as [[name]].
bool is_list_of_tables(const ImageNode& node) noexcept;

// At most `limit` bytes of `text`, cut between characters and marked by "..." when something is missing.
std::string cut_text(std::string text, std::size_t limit);

}  // namespace drover
