// Address is where a listener listens or a client connects: IPv4, IPv6, or a unix socket by path or abstract
// name; with it, whether connections or datagrams are meant. A value. Runs in: every process.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <sys/socket.h>
#include <sys/un.h>

namespace drover {

class Address {
  public:
    Address() noexcept = default;

    // "127.0.0.1:8080", "[::1]:8080", "[fe80::1%eth0]:80", "*:8080" (every IPv4 address), "unix:/run/a.sock",
    // "unix:a.sock" (relative to `base_directory`), "unix:@name" (abstract); for datagrams "udp:" before one
    // of the first four, or "unixgram:" in place of "unix:". Host names are refused: a name service may hang.
    // Throws std::invalid_argument that says what would be right. Port 0 asks the kernel for a free one.
    static Address parse(std::string_view text, std::string_view base_directory = {});

    // From a socket's name or peer (getsockname(2), accept4(2)).
    static Address from_sockaddr(const sockaddr* address, socklen_t size) noexcept;
    static Address local_of(int fd);
    static Address peer_of(int fd);
    // The same place for datagrams.
    Address as_datagrams() const noexcept;
    // The IPv4 address that an IPv6 socket calls "::ffff:192.0.2.1" (RFC 4291, 2.5.5.2); others as they are.
    Address unmapped() const noexcept;

    const sockaddr* data() const noexcept { return reinterpret_cast<const sockaddr*>(&storage_); }
    socklen_t size() const noexcept { return size_; }
    int family() const noexcept { return storage_.ss_family; }
    bool is_unix() const noexcept { return family() == AF_UNIX; }
    bool takes_datagrams() const noexcept { return datagrams_; }
    bool is_udp() const noexcept { return datagrams_ && !is_unix(); }
    bool is_unix_path() const noexcept;
    std::string unix_path() const;  // empty unless is_unix_path()
    std::uint16_t port() const noexcept;
    bool is_wildcard() const noexcept;  // every address of the machine: "*", "[::]"

    // What parse() takes; "unix:" for an unnamed socket.
    std::string text() const;
    // Without port and brackets: "127.0.0.1", "::1", "fe80::1%eth0". Of a unix socket text().
    std::string host_text() const;

    friend bool operator==(const Address& left, const Address& right) noexcept;

  private:
    sockaddr_storage storage_{};
    socklen_t size_ = 0;
    bool datagrams_ = false;
};

}  // namespace drover
