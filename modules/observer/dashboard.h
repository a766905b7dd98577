// The dashboard: the files of modules/observer/dashboard/, which the build puts into the program, and the
// page that answers with one of them. Runs in: worker.
#pragma once

#include "modules/observer/page.h"

#include <span>
#include <string_view>

namespace drover::observer {

struct DashboardFile {
    std::string_view name;  // "dashboard.css"
    std::string_view text;
};
std::span<const DashboardFile> dashboard_files() noexcept;

class DashboardPage final : public Page {
  public:
    // `name` is one of dashboard_files(); aborts when it is not.
    DashboardPage(std::string_view path, const HostRule& hosts, std::string_view name);

  private:
    void answer(const http::Request& request, http::Response response) override;

    const DashboardFile* file_;
};

}  // namespace drover::observer
