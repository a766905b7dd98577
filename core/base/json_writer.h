// JsonWriter writes one JSON document (RFC 8259) into a string, in order, with the commas and quotes where
// they belong. Bytes that are no UTF-8 become U+FFFD, so that what comes out is always valid. A misuse (a
// value without a key in an object, an end without its begin) is a bug of the caller and aborts. Runs in:
// every process.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace drover {

class JsonWriter {
  public:
    // `indent` spaces a level, each member on its own line; 0: everything on one line.
    explicit JsonWriter(unsigned indent = 0) noexcept : indent_(indent) {}

    void begin_object() { begin('{'); }
    void end_object() { end('}'); }
    void begin_array() { begin('['); }
    void end_array() { end(']'); }
    void key(std::string_view name);

    void value(std::string_view text);
    void value(const char* text) { value(std::string_view(text)); }
    void value(const std::string& text) { value(std::string_view(text)); }
    void value(bool truth);
    void value(double number);  // the shortest text that reads back the same; null when it is not finite
    template <std::integral Integer>
    void value(Integer number) {
        if constexpr (std::is_signed_v<Integer>)
            write_signed(number);
        else
            write_unsigned(number);
    }
    void null();

    template <class Value>
    void member(std::string_view name, const Value& member_value) {
        key(name);
        value(member_value);
    }

    // The finished document; the writer is as new afterwards.
    std::string take();

  private:
    struct Level {
        char close = '}';
        bool empty = true;
        bool has_key = false;
    };

    void begin(char bracket);
    void end(char bracket);
    void before_value();
    void new_line();
    void write_signed(std::int64_t number);
    void write_unsigned(std::uint64_t number);
    void write_text(std::string_view text);

    unsigned indent_;
    std::string out_;
    std::vector<Level> levels_;
};

}  // namespace drover
