"""A client of the JSON-RPC shim, and the process behind it."""

from __future__ import annotations

import collections
import contextlib
import itertools
import json
import os
import queue
import shlex
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from harness.payload import Payload
from harness.waiting import DEADLINE_SECONDS, wait_until

ROOT = Path(__file__).resolve().parents[2]

# Kept of what a process says on standard error, for the message of a failing test.
LOG_LINES = 200


class RpcError(Exception):
    """The shim answered a request with an error."""

    def __init__(self, command: str, answer: dict[str, Any]) -> None:
        super().__init__(f"{command}: {answer.get('error')} (code {answer.get('code')})")
        self.message: str = answer.get("error", "")
        self.code: int | None = answer.get("code")


class ShimError(Exception):
    """The shim died, did not answer, or broke the protocol."""


def shim_command() -> list[str]:
    """The command that runs the shim: `GODOT_TORRENT_RPC` or `TORRENT_RPC` names it, else it
    is what Cargo built last."""
    for variable in ("GODOT_TORRENT_RPC", "TORRENT_RPC"):
        if command := os.environ.get(variable):
            return shlex.split(command)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    name = "torrent-rpc" + (".exe" if os.name == "nt" else "")
    built = [path for kind in ("release", "debug") if (path := target / kind / name).exists()]
    if not built:
        raise ShimError("torrent-rpc is not built: cargo build --release -p torrent-rpc")
    return [str(max(built, key=lambda path: path.stat().st_mtime))]


def is_windows_shim() -> bool:
    """Whether the shim is a Windows program, on Windows or under Wine."""
    return os.name == "nt" or ".exe" in os.environ.get("TORRENT_RPC", "")


def named_by_shim(path: Path) -> str:
    """How the shim names a path of this system: under Wine all of it is drive Z."""
    if os.name != "nt" and is_windows_shim():
        return "Z:" + str(path).replace("/", "\\")
    return str(path)


def local_path(name: str) -> str:
    """The path of this system that the shim means."""
    if os.name != "nt" and is_windows_shim():
        return name.removeprefix("Z:").replace("\\", "/")
    return name


def powerless(command: list[str]) -> list[str]:
    """`command` run so that file permissions bind it, even where the tests run as root."""
    if os.name == "nt" or os.geteuid() != 0:
        return command
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise ShimError("setpriv (util-linux) is needed to test permissions as root")
    return [setpriv, "--bounding-set=-all", "--inh-caps=-all", "--", *command]


class Shim:
    """A running shim. `call` asks and waits; `send` and `receive` do it apart.

    Used as a context manager: the process is gone at the end, whatever happened. A process
    that ends by itself before it was asked to is a failure of the next call."""

    def __init__(self, command: list[str] | None = None, cwd: Path | None = None) -> None:
        self._ids = itertools.count(1)
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        self._log: collections.deque[bytes] = collections.deque(maxlen=LOG_LINES)
        self.events: list[dict[str, Any]] = []
        self.process = subprocess.Popen(
            command or shim_command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            # A group of its own, so that a wrapper such as strace dies with what it runs.
            start_new_session=True,
        )
        self._readers = [
            threading.Thread(target=self._read_output, daemon=True),
            threading.Thread(target=self._read_log, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Shim:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._kill()
        self.process.wait()
        for reader in self._readers:
            reader.join()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()
        if error is not None:
            error.add_note(f"the shim's log:\n{self.log()}")

    def log(self) -> str:
        """The last lines of standard error."""
        return b"".join(self._log.copy()).decode(errors="replace")

    # --- requests ---------------------------------------------------------------------

    def call(self, command: str, **params: Any) -> dict[str, Any]:
        """Sends a request and returns its answer; an error raises `RpcError`."""
        answer = self.ask(command, **params)
        if not answer["ok"]:
            raise RpcError(command, answer)
        return answer

    def refuse(self, command: str, **params: Any) -> RpcError:
        """Sends a request that must fail, and returns its error."""
        answer = self.ask(command, **params)
        assert not answer["ok"], f"{command} was not refused: {answer}"
        assert answer["error"], f"{command} was refused without a reason: {answer}"
        return RpcError(command, answer)

    def ask(self, command: str, **params: Any) -> dict[str, Any]:
        """Sends a request and returns its answer, be it an error."""
        number = next(self._ids)
        self.send_line(json.dumps({"id": number, "cmd": command, "params": params}))
        # It says itself that it waited in vain, a moment after the time for that is over.
        wait = params.get("timeout_ms")
        patience = wait / 1000 if isinstance(wait, int) else 0.0
        answer = self.receive(DEADLINE_SECONDS + patience)
        if answer.get("id") != number:
            raise ShimError(f"the answer to {command} has id {answer.get('id')}, not {number}")
        return answer

    def send_line(self, line: str | bytes) -> None:
        """Sends one line as it is; the line's end is added."""
        data = line.encode() if isinstance(line, str) else line
        try:
            self.process.stdin.write(data + b"\n")
            self.process.stdin.flush()
        except OSError as error:
            raise ShimError(f"the shim does not read: {error}\n{self.log()}") from error

    def receive(self, seconds: float = DEADLINE_SECONDS) -> dict[str, Any]:
        """The next answer. Events that come before it are kept in `events`."""
        deadline = time.monotonic() + seconds
        while True:
            message = self._next_message(deadline)
            if "event" not in message:
                return message
            self.events.append(message)

    def receive_event(self, seconds: float = DEADLINE_SECONDS) -> dict[str, Any]:
        """The next event."""
        if self.events:
            return self.events.pop(0)
        message = self._next_message(time.monotonic() + seconds)
        if "event" not in message:
            raise ShimError(f"an answer where an event was due: {message}")
        return message

    def _next_message(self, deadline: float) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise ShimError(f"the shim does not answer\n{self.log()}") from None
        if line is None:
            self._lines.put(None)
            raise ShimError(f"the shim closed its output\n{self.log()}")
        try:
            message = json.loads(line)
        except ValueError as error:
            raise ShimError(f"not JSON: {line[:200]!r}") from error
        if not isinstance(message, dict):
            raise ShimError(f"not an object: {line[:200]!r}")
        return message

    # --- the end ----------------------------------------------------------------------

    def shut_down(self) -> None:
        """Ends the shim in order; it must say so and exit with status 0."""
        self.call("shutdown")
        self.expect_exit()

    def close_input(self) -> None:
        """Ends the input, which is the same as `shutdown`."""
        self.process.stdin.close()

    def terminate(self) -> None:
        """Sends SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def expect_exit(self, status: int = 0) -> None:
        """Waits for the process to end, with this status."""
        try:
            ended = self.process.wait(DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            raise ShimError(f"the shim does not end\n{self.log()}") from None
        assert ended == status, f"the shim ended with status {ended}\n{self.log()}"

    def _kill(self) -> None:
        if os.name == "nt":
            if self.process.poll() is None:
                self.process.kill()
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)

    # The session's port, once it is started.
    port: int = 0

    # --- what tests do all the time ---------------------------------------------------

    def start_session(self, **params: Any) -> int:
        """Starts a session on loopback, at a port that the system chooses, and returns the
        port. Its peers are not named to one another: each test makes the connections that
        it is about."""
        own = {"listen_interfaces": "127.0.0.1:0", "enable_pex": False}
        settings = own | params.pop("settings", {})
        port = self.call("init", listen_port=0, settings=settings, **params)["listen_port"]
        assert port > 0
        self.port = port
        return port

    def status(self, torrent_id: str) -> dict[str, Any]:
        """The torrent's status now."""
        return self.call("get_torrent_status", torrent_id=torrent_id)["status"]

    def wait_for_alert(
        self, type_name: str, torrent_id: str | None = None, seconds: float = DEADLINE_SECONDS
    ) -> dict[str, Any]:
        """The first alert of a type that was not taken yet."""
        params = {"type_name": type_name, "timeout_ms": int(seconds * 1000)}
        if torrent_id is not None:
            params["torrent_id"] = torrent_id
        return self.call("wait_for_alert", **params)["alert"]

    def wait_for_status(self, torrent_id: str, what: str, condition: Any) -> dict[str, Any]:
        """The first status that satisfies `condition`; an error of the torrent fails."""

        def look() -> dict[str, Any] | None:
            status = self.status(torrent_id)
            if condition(status):
                return status
            assert not status["error"], f"{status['error']} ({status['error_file']})"
            return None

        return wait_until(look, what)

    def add(self, payload: Payload, save_path: Path, **params: Any) -> str:
        """Adds the payload's torrent to download it, and returns its id."""
        where = {"path": str(payload.torrent_path), "save_path": str(save_path)}
        return self.call("add_torrent_file", **where, **params)["torrent_id"]

    def seed(self, payload: Payload) -> str:
        """Shares the payload from where it lies, once it is checked, and returns its id."""
        where = {"path": str(payload.torrent_path), "data_dir": str(payload.save_path)}
        torrent_id = self.call("add_torrent_and_seed", **where)["torrent_id"]
        self.wait_until_seeding(torrent_id)
        return torrent_id

    def wait_until_seeding(self, torrent_id: str) -> dict[str, Any]:
        """Waits until the torrent has, and has verified, everything."""
        return self.wait_for_status(torrent_id, "seeding", lambda status: status["is_seeding"])

    def clear_error(self, torrent_id: str) -> None:
        """Takes the torrent's error away; the torrent does so a moment after it was told."""
        self.call("clear_error", torrent_id=torrent_id)
        wait_until(lambda: not self.status(torrent_id)["error"], "no error")

    # --- threads ----------------------------------------------------------------------

    def _read_output(self) -> None:
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _read_log(self) -> None:
        for line in self.process.stderr:
            self._log.append(line)
