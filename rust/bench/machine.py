"""What else runs on the machine while the benchmark does."""

from __future__ import annotations

import os
import time
from pathlib import Path

# At most this share of the machine's CPU used by others counts as quiet.
QUIET_SHARE = 0.10
_SAMPLE_SECONDS = 0.3


def busy_seconds() -> float:
    """CPU time that all processes of the machine have used so far, the kernel's own work
    and what a hypervisor took away included."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def share(cpu_seconds: float, seconds: float) -> float:
    """CPU time as a part of all that the machine had in `seconds`."""
    return cpu_seconds / (seconds * (os.cpu_count() or 1))


def wait_until_quiet(seconds: float) -> None:
    """Returns when hardly anything else runs, at the latest after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        before = busy_seconds()
        time.sleep(_SAMPLE_SECONDS)
        if share(busy_seconds() - before, _SAMPLE_SECONDS) <= QUIET_SHARE:
            return
