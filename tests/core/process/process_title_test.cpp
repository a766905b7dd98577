#include "core/process/process.h"
#include "tests/support/in_child.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace drover;
using drover::test::in_child;

namespace {

std::string first_string_of(const char* path) {
    std::ifstream file(path);
    std::string text;
    std::getline(file, text, '\0');
    return text;
}

}  // namespace

TEST_CASE("process: the title overwrites the arguments, whatever its length, and leaves the environment") {
    in_child([] {
        // Fields 48 and 49 of proc(5) stat: where this process's arguments lie.
        std::ifstream file("/proc/self/stat");
        std::string stat(std::istreambuf_iterator<char>(file), {});
        stat.erase(0, stat.rfind(')') + 2);
        std::size_t begin = 0;
        for (int field = 3; field < 48; ++field)
            begin = stat.find(' ', begin) + 1;
        char* end = nullptr;
        auto* text = reinterpret_cast<char*>(std::strtoull(stat.c_str() + begin, &end, 10));
        auto* const last = reinterpret_cast<char*>(std::strtoull(end, nullptr, 10));
        std::vector<char*> arguments;
        for (; text < last; text += std::strlen(text) + 1)
            arguments.push_back(text);
        arguments.push_back(nullptr);
        const std::string path = std::getenv("PATH") != nullptr ? std::getenv("PATH") : "";

        set_process_title("nothing before the first init");
        init_process_title(static_cast<int>(arguments.size() - 1), arguments.data(), "1.4");
        set_process_title("worker main/0");
        if (first_string_of("/proc/self/cmdline") != "core_test 1.4: worker main/0") return 1;
        set_process_title(std::string(1'000'000, 'x'));
        const std::string cut = first_string_of("/proc/self/cmdline");
        if (cut.size() < 16 || cut.size() > 500'000 ||
            cut.find_first_not_of('x', cut.rfind(' ') + 1) != std::string::npos)
            return 2;
        set_process_title("master");
        if (first_string_of("/proc/self/cmdline") != "core_test 1.4: master") return 3;
        if (path != (std::getenv("PATH") != nullptr ? std::getenv("PATH") : "")) return 4;
        return std::strstr(program_invocation_name, ": master") == nullptr ? 0 : 5;
    });
}
