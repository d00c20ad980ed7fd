"""How long a machine kept processes waiting, as the kernel counts it. What is measured against
the clock is measured against this too: a process that did not run is not one that is slow."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


class Stalls:
    """Seconds that threads of some processes, and of this one, waited for a processor. Of a
    kernel that does not count them there are none."""

    def __init__(self, *processes: int) -> None:
        self._processes = (os.getpid(), *processes)
        self._before = self._read()

    def seconds(self) -> float:
        """All the waiting since this was made, of each thread; more than the time that has
        passed when several wait at once."""
        now = self._read()
        return sum(now[name] - self._before.get(name, 0.0) for name in now)

    def _read(self) -> dict[str, float]:
        waited = {"stolen": stolen_seconds()}
        for process in self._processes:
            with contextlib.suppress(OSError):
                for task in Path(f"/proc/{process}/task").iterdir():
                    # A thread may end between the two.
                    with contextlib.suppress(OSError, IndexError, ValueError):
                        fields = (task / "schedstat").read_text().split()
                        waited[str(task)] = int(fields[1]) / 1e9
        return waited


def stolen_seconds() -> float:
    """What other machines on the same host took from this one."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        fields = Path("/proc/stat").read_text().splitlines()[0].split()
        return int(fields[8]) / os.sysconf("SC_CLK_TCK")
    return 0.0
