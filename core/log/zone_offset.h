// The offset of a local time from UTC, as lines with times show it. Runs in: every process.
#pragma once

#include <ctime>

namespace drover {

struct ZoneOffset {
    char text[8] = {};  // "+0100"; empty: localtime_r(3) has not filled the time
};

inline ZoneOffset zone_offset(const std::tm& local) noexcept {
    ZoneOffset offset;
    std::strftime(offset.text, sizeof offset.text, "%z", &local);
    return offset;
}

}  // namespace drover
