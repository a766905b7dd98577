#include "modules/all_modules.h"

#include "modules/echo/echo.h"
#include "modules/http/http.h"
#include "modules/observer/observer.h"

namespace drover {

std::span<const ModuleFactory> all_modules() noexcept {
    static constexpr ModuleFactory modules[] = {make_module<http::HttpModule>, make_module<EchoModule>,
                                                make_module<ObserverModule>};
    return modules;
}

}  // namespace drover
