#include "modules/http/http_date.h"

#include "modules/http/http_syntax.h"

#include <fmt/format.h>

namespace drover::http {

namespace {

constexpr std::string_view weekdays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::string_view months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

// Reads a text from its front; once something was not as it must be, `good` is false.
struct Reader {
    std::string_view rest;
    bool good = true;

    void skip(std::string_view expected) noexcept {
        good = good && rest.starts_with(expected);
        if (good) rest.remove_prefix(expected.size());
    }
    int number(std::size_t digits) noexcept {
        int value = 0;
        good = good && rest.size() >= digits;
        for (std::size_t index = 0; good && index < digits; ++index) {
            good = is_digit(rest[index]);
            value = value * 10 + (rest[index] - '0');
        }
        if (good) rest.remove_prefix(digits);
        return value;
    }
    int month() noexcept {
        for (int index = 0; good && index < 12; ++index) {
            if (!rest.starts_with(months[index])) continue;
            rest.remove_prefix(3);
            return index;
        }
        good = false;
        return 0;
    }
    void time(std::tm& date) noexcept {
        date.tm_hour = number(2);
        skip(":");
        date.tm_min = number(2);
        skip(":");
        date.tm_sec = number(2);
    }
};

// Sun, 06 Nov 1994 08:49:37 GMT, and Sunday, 06-Nov-94 08:49:37 GMT.
void read_with_comma(Reader& reader, std::tm& date) noexcept {
    reader.skip(", ");
    date.tm_mday = reader.number(2);
    const bool is_old = reader.rest.starts_with('-');
    reader.skip(is_old ? "-" : " ");
    date.tm_mon = reader.month();
    reader.skip(is_old ? "-" : " ");
    // A year of two digits is the nearest one that is not far in the future.
    date.tm_year = is_old ? reader.number(2) : reader.number(4) - 1900;
    if (is_old && date.tm_year < 70) date.tm_year += 100;
    reader.skip(" ");
    reader.time(date);
    reader.skip(" GMT");
}

// Sun Nov  6 08:49:37 1994
void read_asctime(Reader& reader, std::tm& date) noexcept {
    reader.skip(" ");
    date.tm_mon = reader.month();
    reader.skip(" ");
    const bool one_digit = reader.rest.starts_with(' ');
    reader.skip(one_digit ? " " : "");
    date.tm_mday = reader.number(one_digit ? 1 : 2);
    reader.skip(" ");
    reader.time(date);
    reader.skip(" ");
    date.tm_year = reader.number(4) - 1900;
}

bool in_range(const std::tm& date) noexcept {
    return date.tm_mday >= 1 && date.tm_mday <= 31 && date.tm_hour <= 23 && date.tm_min <= 59 &&
           date.tm_sec <= 60 && date.tm_year >= 70;
}

}  // namespace

std::string_view month_name(int month) noexcept {
    return months[month];
}

std::string format_date(std::time_t second) {
    std::tm utc{};
    ::gmtime_r(&second, &utc);
    return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", weekdays[utc.tm_wday], utc.tm_mday,
                       month_name(utc.tm_mon), utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
}

std::optional<std::time_t> parse_date(std::string_view text) noexcept {
    std::size_t letters = 0;
    while (letters < text.size() && detail::lower(text[letters]) >= 'a' &&
           detail::lower(text[letters]) <= 'z')
        ++letters;
    Reader reader{text.substr(letters)};
    std::tm date{};
    if (letters < 3) return std::nullopt;
    if (reader.rest.starts_with(',')) {
        read_with_comma(reader, date);
    } else {
        read_asctime(reader, date);
    }
    if (!reader.good || !reader.rest.empty() || !in_range(date)) return std::nullopt;
    return ::timegm(&date);
}

}  // namespace drover::http
