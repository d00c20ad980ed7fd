"""One engine in a process of its own, driven by JSON lines, and what that process cost."""

from __future__ import annotations

import itertools
import json
import os
import select
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class ParticipantError(Exception):
    """A participant refused a request, died, or did not answer in time."""


@dataclass(frozen=True)
class Engine:
    """How to start an engine and what to set in it."""

    name: str
    command: list[str]
    settings: dict[str, Any]
    # A sink is none that does: there is no copy to verify.
    stores: bool = True


class Participant:
    """A running engine. `call` asks and waits; `send` and `receive` do it apart.

    Used as a context manager: it is gone at the end, whatever happened."""

    def __init__(self, engine: Engine, role: str, work: Path, timeout: float) -> None:
        self.engine = engine
        self._timeout = timeout
        self._label = f"{engine.name} {role}"
        self._log = work / f"{role}.log"
        self._ids = itertools.count(1)
        self._unread = b""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                engine.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=work,
            )
        self.pid = self._process.pid

    def __enter__(self) -> Participant:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def call(self, command: str, **params: Any) -> dict[str, Any]:
        """Sends one request and waits for its answer."""
        return self.receive(self.send(command, **params))

    def send(self, command: str, **params: Any) -> int:
        """Sends one request; the number is for `receive`."""
        number = next(self._ids)
        line = json.dumps({"id": number, "cmd": command, "params": params}) + "\n"
        try:
            os.write(self._process.stdin.fileno(), line.encode())
        except OSError as error:
            raise self._failure(f"'{command}' could not be sent: {error}") from error
        return number

    def receive(self, number: int) -> dict[str, Any]:
        """Waits for the answer to request `number`."""
        deadline = time.monotonic() + self._timeout
        while not self.has_answer(max(0.0, deadline - time.monotonic())):
            raise self._failure(f"no answer within {self._timeout:.0f} s")
        line, _, self._unread = self._unread.partition(b"\n")
        try:
            answer = json.loads(line)
        except ValueError as error:
            raise self._failure(f"not JSON: {line[:200]!r}") from error
        if not answer.get("ok"):
            raise self._failure(str(answer.get("error", answer)))
        if answer.get("id") != number:
            raise self._failure(f"answer {answer.get('id')} came where {number} was due")
        return answer

    def has_answer(self, seconds: float) -> bool:
        """Waits up to `seconds` for a whole line to be there."""
        deadline = time.monotonic() + seconds
        stdout = self._process.stdout.fileno()
        while b"\n" not in self._unread:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([stdout], [], [], left)[0]:
                return False
            data = os.read(stdout, 1 << 20)
            if not data:
                raise self._failure("it closed its output")
            self._unread += data
        return True

    def shut_down(self) -> None:
        """Ends the engine in order; a status other than 0 is an error."""
        self.call("shutdown")
        try:
            status = self._process.wait(self._timeout)
        except subprocess.TimeoutExpired as error:
            raise self._failure(f"still running {self._timeout:.0f} s after shutdown") from error
        if status != 0:
            raise self._failure(f"ended with status {status}")

    def cpu_seconds(self) -> float:
        """User and system time of all threads so far, ended ones included."""
        # The kernel's number for the CPU clock of a process (clock_getcpuclockid): in
        # nanoseconds, where /proc/PID/stat counts in hundredths of a second.
        return time.clock_gettime((~self.pid << 3) | 2)

    def resident_bytes(self) -> int:
        """Memory resident now, mapped files and shared memory included."""
        return self._memory("VmRSS")

    def peak_resident_bytes(self) -> int:
        """Most memory resident at a time since `reset_peak`."""
        return self._memory("VmHWM")

    def reset_peak(self) -> None:
        """Forgets the peak so far."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def _memory(self, field: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
        raise self._failure(f"the kernel does not tell its {field}")

    def _failure(self, what: str) -> ParticipantError:
        tail = self._log.read_text(errors="replace").strip()[-2000:]
        died = self._process.poll()
        ended = "" if died is None else f" (ended with status {died})"
        return ParticipantError(f"{self._label}{ended}: {what}" + (f"\n{tail}" if tail else ""))
