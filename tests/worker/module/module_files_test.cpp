#include "worker/module/module_files.h"

#include "tests/support/open_fds.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/worker_fixture.h"

#include <filesystem>
#include <stdexcept>
#include <string>

#include <doctest/doctest.h>
#include <fcntl.h>

using namespace drover;
using namespace drover::test;

namespace {

struct LoggingOptions {
    std::string_view log;
    static const Options<LoggingOptions>& options() {
        static const auto table =
            Options<LoggingOptions>("Writes a log.")
                .text("log", &LoggingOptions::log, {.master_file = true}, Apply::hot, "The log.");
        return table;
    }
};

struct LoggingModule final : Module {
    std::string_view name() const noexcept override { return "logging"; }
    const OptionTable& options() const override { return LoggingOptions::options(); }
    void start(Services&, const ImageNode&) override {}
    void connection(Accepted) override {}
};

UniqueFd open_file(const std::string& path) {
    return UniqueFd(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
}

constexpr ModuleFactory modules[] = {make_module<LoggingModule>};

struct LoggingWorker {
    TemporaryFolder folder = {};
    std::string path = folder.file("a");
    WorkerFixture worker = {modules, "logging", "[module.logging]\nlog = \"" + path + "\"\n"};

    const Configuration& configuration() { return *worker.services().configuration; }
};

}  // namespace

TEST_CASE("a file is known by its path, and another takes its place") {
    LoggingWorker logging;
    const auto& [folder, path, worker] = logging;
    const Configuration& configuration = logging.configuration();
    const std::size_t before = count_open_fds();
    {
        ModuleFiles files;
        CHECK_THROWS_AS(files.find(configuration, path), std::out_of_range);
        files.put(path, open_file(path));
        const auto file = files.find(configuration, path);
        CHECK(file->replaced() == 0);
        files.put(path, open_file(path));
        CHECK(files.find(configuration, path) == file);
        CHECK(file->replaced() == 0);  // a reload sends the same again
        std::filesystem::rename(path, path + ".1");
        files.put(path, open_file(path));
        CHECK(files.find(configuration, path) == file);
        CHECK(file->replaced() == 1);
        CHECK(count_open_fds() == before + 1);

        files.put(folder.file("b"), open_file(folder.file("b")));
        const auto other = files.find(configuration, folder.file("b"));
        files.abandon(configuration);
        CHECK_THROWS_AS(files.find(configuration, folder.file("b")), std::out_of_range);
        CHECK(other->write("x\n") == 2);
        CHECK(files.find(configuration, path) == file);
    }
    CHECK(count_open_fds() == before);
}

TEST_CASE("a file of what is prepared takes its place at the commit, and not before") {
    LoggingWorker logging;
    const std::string& path = logging.path;
    const Configuration& configuration = logging.configuration();
    ModuleFiles files;
    files.put(path, open_file(path));
    const auto file = files.find(configuration, path);
    std::filesystem::rename(path, path + ".1");
    files.put_next(path, open_file(path));
    CHECK(file->write("before\n") == 7);
    CHECK(file->replaced() == 0);
    files.abandon(configuration);
    CHECK(file->write("after\n") == 6);
    CHECK(read_file(path + ".1") == "before\nafter\n");
    CHECK(read_file(path).empty());
    files.commit(configuration);
    CHECK(file->replaced() == 0);

    files.put_next(path, open_file(path));
    files.commit(configuration);
    CHECK(file->replaced() == 1);
    CHECK(files.find(configuration, path) == file);

    // One that is opened anew meanwhile is the later one.
    files.put_next(path, open_file(path));
    std::filesystem::rename(path, path + ".2");
    files.put(path, open_file(path));
    CHECK(file->replaced() == 2);
    files.commit(configuration);
    CHECK(file->replaced() == 2);

    // A path that is not in use can be found at once.
    files.put_next(logging.folder.file("b"), open_file(logging.folder.file("b")));
    CHECK(files.find(configuration, logging.folder.file("b"))->write("x\n") == 2);
    files.abandon(configuration);
    CHECK_THROWS_AS(files.find(configuration, logging.folder.file("b")), std::out_of_range);
}
