#include "conf/reader/unix_ids.h"

#include "conf/settings.h"

#include <grp.h>
#include <pwd.h>

namespace drover {

std::optional<std::string> find_unix_id(UnixId kind, const std::string& name) {
    if (name.empty() || parse_id(name)) return name;
    if (kind == UnixId::user) {
        const passwd* const user = ::getpwnam(name.c_str());
        return user != nullptr ? std::optional(std::to_string(user->pw_uid)) : std::nullopt;
    }
    const group* const found = ::getgrnam(name.c_str());
    return found != nullptr ? std::optional(std::to_string(found->gr_gid)) : std::nullopt;
}

}  // namespace drover
