// ReloadDesk keeps the callers that wait for a reload's verdict: those who asked before it began get this
// one, those who ask while it is under way get the next, because the file may have changed since it was read.
// A caller may also wait for the end of the new generation's probation. Runs in: the master.
#pragma once

#include "master/control/control.h"

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace drover {

class ReloadDesk {
  public:
    struct Wish {
        ControlCaller caller = 0;  // 0: a signal, nobody waits
        bool fresh = false;        // new workers whatever has changed
        bool probation = false;    // the answer comes when the probation has ended
    };

    void set_server(ControlServer* server) noexcept { server_ = server; }

    // A reload is wanted. While one is under way this asks for another one after it.
    void ask(const Wish& wish);
    // One more reload is wanted after the one that begins now, as it was when close() said so.
    void ask_again() noexcept { again_ = true; }
    void begin() noexcept;
    // Of the reload under way.
    bool fresh_wanted() const noexcept { return fresh_; }
    void progress(std::string_view text) const;
    // The verdict; `probation` is how long the new generation is on probation, or 0. True when another reload
    // was asked for meanwhile.
    bool close(bool ok, const std::string& text, std::chrono::milliseconds probation);
    void close_probation(bool passed, std::string_view text);
    // No reload will come any more.
    void close_all(const std::string& reason);

  private:
    ControlServer* server_ = nullptr;
    bool under_way_ = false;
    bool again_ = false;
    bool fresh_ = false;
    bool next_fresh_ = false;
    std::vector<Wish> waiting_;  // for the reload under way, or the first one to begin
    std::vector<Wish> next_;     // for the one after it
    std::vector<ControlCaller> on_probation_;
};

}  // namespace drover
