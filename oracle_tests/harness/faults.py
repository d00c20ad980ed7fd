"""System calls that fail while a test wants them to, by strace attached to a running
process. Linux and root only."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from harness.waiting import wait_until

# What has to be there to make system calls fail.
CAN_FAIL = shutil.which("strace") is not None and hasattr(os, "geteuid") and os.geteuid() == 0

WRITES = "pwritev,pwrite64"
READS = "preadv2,preadv,pread64"


def _tasks(pid: int) -> set[int]:
    return {int(name) for name in os.listdir(f"/proc/{pid}/task")}


def _traced(pid: int) -> set[int]:
    """The threads of a process that are traced."""
    traced = set()
    for task in _tasks(pid):
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{pid}/task/{task}/status").read_text()
            if "TracerPid:\t0\n" not in status:
                traced.add(task)
    return traced


def _strace(calls: str, effect: str) -> list[str]:
    trace = ["strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace={calls}"]
    return [*trace, "-e", f"inject={calls}:{effect}"]


def disturbed(command: list[str], calls: str, effect: str) -> list[str]:
    """The command that runs another one with an effect on these system calls from the start:
    `error=EIO:when=1`, `delay_enter=60s` and what else strace can inject."""
    return [*_strace(calls, effect), *command]


@contextlib.contextmanager
def failing(pid: int, calls: str, error: str, path: Path) -> Iterator[None]:
    """While this lasts the process `pid` gets `error` from system calls that concern the file
    at `path`."""
    command = [*_strace(calls, f"error={error}"), "-P", str(path), "-p", str(pid)]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:

        def attached() -> bool:
            if tracer.poll() is not None:
                raise AssertionError(f"strace: {tracer.stderr.read()}")
            return _traced(pid) == _tasks(pid)

        wait_until(attached, "strace is attached")
        yield
    finally:
        tracer.terminate()
        tracer.communicate()
    wait_until(lambda: not _traced(pid), "strace is gone")
