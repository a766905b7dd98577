// ReloadDesk keeps who waits for a reload's verdict: those who asked before it began get this one, those who
// ask while it is under way get the next, because the file may have changed since it was read. Runs in: the
// master.
#pragma once

#include "master/control.h"

#include <string>
#include <string_view>
#include <vector>

namespace drover {

class ReloadDesk {
  public:
    void set_server(ControlServer* server) noexcept { server_ = server; }

    // A reload is wanted by `caller` (or by a signal: 0). While one is under way this asks for another one
    // after it.
    // `fresh` asks for new workers whatever has changed.
    void ask(ControlCaller caller, bool fresh);
    void begin() noexcept;
    // Of the reload under way.
    bool fresh_wanted() const noexcept { return fresh_; }
    void progress(std::string_view text) const;
    // The verdict. True when another reload was asked for meanwhile.
    bool close(bool ok, std::string_view text);
    // No reload will come any more.
    void close_all(std::string_view reason);

  private:
    ControlServer* server_ = nullptr;
    bool under_way_ = false;
    bool again_ = false;
    bool fresh_ = false;
    bool next_fresh_ = false;
    std::vector<ControlCaller> waiting_;  // for the reload under way, or the first one to begin
    std::vector<ControlCaller> next_;     // for the one after it
};

}  // namespace drover
