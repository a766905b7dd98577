#include "tests/support/stuck_filesystem.h"

#include "tests/support/deadline.h"

#include <array>
#include <cstring>
#include <stdexcept>
#include <utility>

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/uio.h>
#include <unistd.h>

namespace drover::test {
namespace {

// One request's header; none is left when the descriptor says so.
fuse_in_header take_request(int fd) {
    std::array<char, 256 * 1024> buffer{};
    fuse_in_header header{};
    pollfd waiting{fd, POLLIN, 0};
    if (::poll(&waiting, 1, Deadline().remaining_ms()) != 1) throw std::runtime_error("no request came");
    if (::read(fd, buffer.data(), buffer.size()) < static_cast<ssize_t>(sizeof header))
        throw_errno("read", "/dev/fuse");
    std::memcpy(&header, buffer.data(), sizeof header);
    return header;
}

}  // namespace

StuckFilesystem::StuckFilesystem() : requests_(::open("/dev/fuse", O_RDWR | O_CLOEXEC)) {
    if (!requests_) return;
    const std::string options =
        "fd=" + std::to_string(requests_.get()) + ",rootmode=40000,user_id=0,group_id=0,allow_other";
    mounted_ =
        ::mount("drover-test", folder_.path().c_str(), "fuse", MS_NOSUID | MS_NODEV, options.c_str()) == 0;
    if (!mounted_) return;
    // The kernel asks this first, and holds everything else back until it is answered.
    const fuse_in_header request = take_request(requests_.get());
    fuse_init_out init{};
    init.major = FUSE_KERNEL_VERSION;
    init.minor = FUSE_KERNEL_MINOR_VERSION;
    init.max_write = 4096;
    fuse_out_header header{};
    header.len = sizeof header + sizeof init;
    header.unique = request.unique;
    std::array<iovec, 2> reply{{{&header, sizeof header}, {&init, sizeof init}}};
    if (::writev(requests_.get(), reply.data(), reply.size()) < 0) throw_errno("writev", "/dev/fuse");
}

void StuckFilesystem::release() {
    requests_.reset();
    if (std::exchange(mounted_, false)) ::umount2(folder_.path().c_str(), MNT_DETACH);
}

pid_t StuckFilesystem::take_victim() {
    return static_cast<pid_t>(take_request(requests_.get()).pid);
}

}  // namespace drover::test
