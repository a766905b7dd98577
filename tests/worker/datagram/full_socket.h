// While a FullSocket lives, sendmmsg(2) of this program takes `room` messages and no more: over loopback a
// udp socket is never full. While a RefusingSocket does it fails with EPERM, as a firewall makes it. Runs in:
// tests.
#pragma once

namespace drover::test {

class FullSocket {
  public:
    explicit FullSocket(unsigned room = 0);
    ~FullSocket();
    FullSocket(const FullSocket&) = delete;
    FullSocket& operator=(const FullSocket&) = delete;
};

class RefusingSocket {
  public:
    RefusingSocket();
    ~RefusingSocket();
    RefusingSocket(const RefusingSocket&) = delete;
    RefusingSocket& operator=(const RefusingSocket&) = delete;
};

}  // namespace drover::test
