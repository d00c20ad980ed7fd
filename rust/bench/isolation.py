"""A network namespace for the benchmark alone, so that neither other traffic nor the
host's congestion control takes part in what is measured.

`enter()` is called once, before any participant starts: what is started later inherits
the namespace. Only system calls are used; a fresh machine need not have iproute2.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from pathlib import Path

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
IFF_UP = 0x1

# Pacing congestion controls (bbr) make loopback several times slower and dearer, and few
# users have them. Reno is in every kernel, and without loss it behaves as cubic does.
CONGESTION_CONTROL = "reno"
CONGESTION_FILE = Path("/proc/sys/net/ipv4/tcp_congestion_control")


def enter() -> str:
    """Moves this process into a network namespace of its own and says in one line what
    the measurement runs under. Where that is not permitted, nothing changes."""
    for flags in (CLONE_NEWUSER | CLONE_NEWNET, CLONE_NEWNET):
        # Tried in a child first: half a namespace, one without loopback, is no way back.
        if _works_in_child(flags):
            _set_up(flags)
            return f"network namespace of its own, TCP congestion control {CONGESTION_CONTROL}"
    return (
        "NOTE: no network namespace (unshare is not permitted here); the host's loopback with "
        f"congestion control {_current_congestion_control()} is measured, other traffic included"
    )


def loopback_bytes() -> int:
    """Bytes that the loopback interface of this process's namespace has received so far."""
    for line in Path("/proc/self/net/dev").read_text().splitlines():
        name, _, counters = line.partition(":")
        if name.strip() == "lo":
            return int(counters.split()[0])
    raise RuntimeError("this network namespace has no loopback interface")


def _works_in_child(flags: int) -> bool:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            _set_up(flags)
            status = 0
        except OSError:
            pass
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _set_up(flags: int) -> None:
    uid, gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    if flags & CLONE_NEWUSER:
        # The same ids inside as outside: files stay who they belong to.
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    _bring_up_loopback()
    CONGESTION_FILE.write_text(CONGESTION_CONTROL)


def _bring_up_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        # struct ifreq: 16 bytes of name, then a union of which the flags are a short.
        request = struct.pack("16sH22x", b"lo", 0)
        flags = struct.unpack("16sH22x", fcntl.ioctl(sock, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", flags | IFF_UP))


def _current_congestion_control() -> str:
    try:
        return CONGESTION_FILE.read_text().strip()
    except OSError:
        return "unknown"
