#include "master/cli/scaffold.h"

#include "tests/support/temporary_folder.h"

#include <algorithm>
#include <set>

#include <doctest/doctest.h>

using namespace drover;

TEST_CASE("a name is what a module, a program and a file can be called") {
    for (const char* name : {"a", "echo2", "my_app", "class", "main"})
        CHECK_MESSAGE(explain_bad_name(name) == "", name);
    for (const char* name : {"", "A", "my-app", "2fast", "_a", "a/b", "..", "a b", "caf\xc3\xa9"})
        CHECK_MESSAGE(explain_bad_name(name).find("is no name") != std::string::npos, name);
    for (const char* name : {"all", "test", "drover"})
        CHECK_MESSAGE(explain_bad_name(name).find("cannot be the name") != std::string::npos, name);
    CHECK(explain_bad_name(std::string(32, 'a')) == "");
    CHECK(explain_bad_name(std::string(33, 'a')) == "a name has at most 32 characters");
}

TEST_CASE("the name is put in, in both forms") {
    CHECK(fill_in("@name@ @Name@ @name@", "my_app2") == "my_app2 MyApp2 my_app2");
    CHECK(fill_in("@other@ name", "a") == "@other@ name");
    CHECK(fill_in("@Name@", "a__b_") == "AB");
}

TEST_CASE("the folder has every file with the name in it") {
    test::TemporaryFolder folder;
    write_scaffold(folder.file("made"), "my_app");
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder.file("made"))) {
        names.insert(entry.path().filename());
        const std::string text = test::read_file(entry.path());
        CHECK_FALSE(text.empty());
        CHECK(text.find("@name@") == std::string::npos);
        CHECK(text.find("@Name@") == std::string::npos);
        CHECK(text.find("my_app") != std::string::npos);
    }
    CHECK(names == std::set<std::string>{"CMakeLists.txt", "main.cpp", "my_app.toml", "my_app_module.cpp",
                                         "my_app_module.h", "my_app_test.cpp"});
}

TEST_CASE("what is there stays as it is, and what cannot be written leaves nothing") {
    test::TemporaryFolder folder;
    test::write_file(folder.file("taken"), "mine");
    CHECK_THROWS_WITH_AS(write_scaffold(folder.file("taken"), "a"),
                         ("\"" + folder.file("taken") + "\" is there already").c_str(), std::runtime_error);
    CHECK(test::read_file(folder.file("taken")) == "mine");
    CHECK_THROWS_AS(write_scaffold(folder.file("no/such"), "a"), std::system_error);
    // A name that is too long for a file: the folder is made, the first file is not.
    CHECK_THROWS_AS(write_scaffold(folder.file("made"), std::string(300, 'a')), std::system_error);
    CHECK_FALSE(std::filesystem::exists(folder.file("made")));
}
