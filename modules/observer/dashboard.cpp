#include "modules/observer/dashboard.h"

#include "core/base/check.h"

#include <algorithm>

namespace drover::observer {

namespace {

// The page is made of what comes from here, and of nothing else: no script of anybody's, no frame around it.
constexpr std::string_view policy =
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
    "Referrer-Policy: no-referrer\r\n";

std::string_view type_of(std::string_view name) noexcept {
    if (name.ends_with(".css")) return "text/css; charset=utf-8";
    if (name.ends_with(".js")) return "text/javascript; charset=utf-8";
    if (name.ends_with(".svg")) return "image/svg+xml";
    return "text/html; charset=utf-8";
}

}  // namespace

DashboardPage::DashboardPage(std::string_view path, const HostRule& hosts, std::string_view name)
    : Page(path, hosts) {
    const std::span<const DashboardFile> files = dashboard_files();
    const auto found = std::ranges::find(files, name, &DashboardFile::name);
    DROVER_CHECK(found != files.end());
    file_ = &*found;
}

void DashboardPage::answer(const http::Request&, http::Response response) {
    response.lines(policy);
    send(response, 200, type_of(file_->name), file_->text);
}

}  // namespace drover::observer
