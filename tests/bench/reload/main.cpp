// What reloads, resizes and deaths cost those who are connected, side by side with nginx:
// reload DROVER [TABLE...] prints a table each; all of them without a name.
#include "tests/bench/reload/rows.h"
#include "tests/bench/reload/servers.h"
#include "tests/support/long_clients.h"

#include <cstdio>
#include <exception>
#include <functional>
#include <map>

namespace drover::test {

Table::Table(const std::string& title, std::vector<std::string> columns) : columns_(std::move(columns)) {
    std::printf("%s\n%-28s", title.c_str(), "");
    for (const std::string& column : columns_)
        std::printf("  %10s", column.c_str());
    std::printf("\n");
    std::fflush(stdout);
}

Table::~Table() {
    std::printf("\n");
    std::fflush(stdout);
}

void Table::row(const std::string& name, const std::vector<std::string>& values) const {
    std::printf("%-28s", name.c_str());
    for (std::size_t i = 0; i < values.size(); ++i)
        std::printf("  %*s", static_cast<int>(std::max<std::size_t>(columns_[i].size(), 10)),
                    values[i].c_str());
    std::printf("\n");
    std::fflush(stdout);
}

std::string in_ms(double time) {
    char text[32];
    std::snprintf(text, sizeof text, time < 10 ? "%.2f" : "%.0f", time);
    return text;
}

}  // namespace drover::test

int main(int argc, char** argv) {
    using namespace drover::test;
    if (argc < 2) return 2;
    const std::vector<std::pair<std::string, void (*)()>> tables = {
        {"busy", show_busy},   {"idle", show_idle},     {"stream", show_stream}, {"resize", show_resize},
        {"kills", show_kills}, {"memory", show_memory}, {"scale", show_scale}};
    try {
        Server::drover_program = argv[1];
        const std::vector<std::string> wanted(argv + 2, argv + argc);
        for (const auto& [name, show] : tables) {
            if (wanted.empty() || std::find(wanted.begin(), wanted.end(), name) != wanted.end()) show();
        }
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "reload: %s\n", error.what());
        return 1;
    }
}
