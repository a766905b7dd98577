// What ./dev bench reload shows, a function a table. Each prints its title with the goal, then a line a
// server. Runs in: benches.
#pragma once

#include <string>
#include <vector>

namespace drover::test {

void show_busy();    // busy keep-alive connections
void show_idle();    // idle connections handed over
void show_stream();  // streams in mid hand-over
void show_resize();  // new connections while workers come and go
void show_kills();   // workers killed
void show_memory();  // workers and memory after many reloads
void show_scale();   // 200 workers

// A table that is printed line by line; the first column is wide.
class Table {
  public:
    Table(const std::string& title, std::vector<std::string> columns);
    ~Table();
    Table(const Table&) = delete;
    Table& operator=(const Table&) = delete;

    void row(const std::string& name, const std::vector<std::string>& values) const;

  private:
    std::vector<std::string> columns_;
};

std::string in_ms(double time);

}  // namespace drover::test
