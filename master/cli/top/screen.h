// Screen is what top shows and what keys change of it: which worker is selected, how rows are sorted, whether
// one worker is looked at closely. Draws lines that fit any size. No system calls. Runs in: the command line.
#pragma once

#include "master/cli/top/rates.h"
#include "master/cli/top/text.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace drover::top {

struct Layout;

enum class Key : std::uint8_t {
    up,
    down,
    page_up,
    page_down,
    enter,
    back,
    sort,
    reverse,
    pause,
    quit,
    other
};

struct Size {
    std::size_t columns = 80;
    std::size_t lines = 24;
};

class Screen {
  public:
    // `styled`: with colours and the like.
    explicit Screen(bool styled) noexcept : styled_(styled) {}

    // False: time to leave.
    bool press(Key key, const View& view);
    bool paused() const noexcept { return paused_; }

    // At most size.lines lines of at most size.columns cells.
    std::vector<std::string> draw(const View& view, Size size);
    // Everything there is to see, for a script: no selection, no keys.
    std::vector<std::string> draw_once(const View& view);

  private:
    Line line(std::size_t width) const { return Line(width, styled_); }
    std::vector<const WorkerView*> sorted(const View& view) const;
    const WorkerView* selected(const std::vector<const WorkerView*>& rows) const;
    void select(const std::vector<const WorkerView*>& rows, std::ptrdiff_t step);
    void draw_head(const View& view, std::size_t width, std::vector<std::string>& lines) const;
    std::string titles(const Layout& layout, std::size_t width) const;
    std::string row(const View& view, const WorkerView& worker, const Layout& layout, std::size_t width,
                    bool selected) const;
    std::vector<std::string> table(const View& view, std::size_t width, std::size_t lines);
    std::vector<std::string> details(const View& view, const WorkerView& worker, std::size_t width) const;
    std::string keys(std::size_t width) const;

    bool styled_;
    bool paused_ = false;
    bool reversed_ = false;
    bool close_ = false;  // one worker, closely
    std::size_t sort_column_ = 0;
    std::size_t first_row_ = 0;
    std::string selected_pool_;  // empty: the first row
    std::uint32_t selected_slot_ = 0;
    std::uint64_t selected_instance_ = 0;  // of two in the slot, one leaves
};

}  // namespace drover::top
