#include "conf/reader/document.h"

#include <doctest/doctest.h>

using namespace drover;

TEST_CASE("a table finds its children by name, a list has none to find") {
    DocumentValue child;
    child.name = "a";
    DocumentValue table;
    table.children.push_back(child);
    CHECK(table.find("a") == &table.children[0]);
    CHECK(table.find("b") == nullptr);
    table.kind = DocumentKind::list;
    CHECK(table.find("a") == nullptr);
}

TEST_CASE("kinds have names") {
    CHECK(std::string(to_text(DocumentKind::boolean)) == "a boolean");
    CHECK(std::string(to_text(DocumentKind::integer)) == "an integer");
    CHECK(std::string(to_text(DocumentKind::text)) == "a text");
}
