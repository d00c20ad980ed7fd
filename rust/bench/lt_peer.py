"""A libtorrent session behind the part of the `torrent-rpc` protocol that a transfer
needs, so that the runner drives both engines by the same requests.

One thread: it sleeps in libtorrent's own `wait_for_alert` while a transfer runs, so
Python costs the measurement nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

import libtorrent as lt

# What the commands report goes by the numbers of libtorrent's states.
CHECKING = {
    lt.torrent_status.states.checking_files,
    lt.torrent_status.states.checking_resume_data,
}
ERROR_ALERTS = lt.alert.category_t.error_notification


class Peer:
    """One session with at most a few torrents; `handle` answers one request."""

    def __init__(self, disk_io: str | None) -> None:
        self._disk_io = disk_io
        self._session: lt.session | None = None
        self._torrents: dict[str, lt.torrent_handle] = {}
        self._alerts: list[str] = []

    def handle(self, command: str, params: dict[str, Any]) -> dict[str, Any]:
        """The answer to one request, without `id` and `ok`."""
        commands = {
            "version": self._version,
            "init": self._init,
            "add_torrent_file": self._add_torrent_file,
            "add_torrent_and_seed": self._add_torrent_and_seed,
            "connect_peer": self._connect_peer,
            "get_torrent_status": self._status,
            "get_settings": self._settings,
            "wait_for_alert": self._wait_for_alert,
        }
        if command not in commands:
            raise ValueError(f"Unknown command '{command}'")
        return commands[command](**params)

    def close(self) -> None:
        """Ends the session; returns when its threads are gone."""
        self._torrents.clear()
        self._session = None

    def _version(self) -> dict[str, Any]:
        return {"name": "libtorrent", "version": lt.version}

    def _init(self, listen_port: int, settings: dict[str, Any], **_: Any) -> dict[str, Any]:
        params = lt.session_params()
        if self._disk_io:
            params.disk_io_constructor = f"{self._disk_io}_disk_io_constructor"
        params.settings = {
            **settings,
            "listen_interfaces": f"127.0.0.1:{listen_port}",
            "stop_tracker_timeout": 0,
        }
        self._session = lt.session(params)
        return {"listen_port": self._session.listen_port()}

    def _settings(self) -> dict[str, Any]:
        return {"settings": lt.default_settings()}

    def _add_torrent_file(self, path: str, save_path: str) -> dict[str, Any]:
        params = lt.load_torrent_file(path)
        params.save_path = save_path
        params.flags &= ~(lt.torrent_flags.paused | lt.torrent_flags.auto_managed)
        handle = self._session.add_torrent(params)
        torrent_id = str(params.ti.info_hashes().v1)
        self._torrents[torrent_id] = handle
        return {"torrent_id": torrent_id}

    def _add_torrent_and_seed(self, path: str, data_dir: str) -> dict[str, Any]:
        # Without seed_mode, which would hash each piece on its first request instead of
        # before the transfer.
        return self._add_torrent_file(path, data_dir)

    def _connect_peer(self, torrent_id: str, ip: str, port: int) -> dict[str, Any]:
        self._torrents[torrent_id].connect_peer((ip, port))
        return {}

    def _status(self, torrent_id: str) -> dict[str, Any]:
        status = self._torrents[torrent_id].status(0)
        error = status.errc.message() if status.errc.value() else ""
        return {
            "status": {
                "state": int(status.state),
                "progress": status.progress,
                "is_seeding": status.is_seeding and status.state not in CHECKING,
                "is_finished": status.is_finished and status.state not in CHECKING,
                "num_peers": status.num_peers,
                "error": error,
            }
        }

    def _wait_for_alert(self, type_name: str, timeout_ms: int, **_: Any) -> dict[str, Any]:
        deadline = time.monotonic() + timeout_ms / 1000
        while type_name not in self._alerts:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no {type_name} alert within {timeout_ms} ms")
            self._session.wait_for_alert(max(1, int(left * 1000)))
            for alert in self._session.pop_alerts():
                self._alerts.append(alert.what())
                if alert.category() & ERROR_ALERTS:
                    print(alert.message(), file=sys.stderr, flush=True)
        self._alerts.remove(type_name)
        return {"alert": {"type_name": type_name}}


def serve(peer: Peer) -> None:
    """Answers the requests on stdin until `shutdown` or the end of the input."""
    for line in sys.stdin:
        request = json.loads(line)
        answer = {"id": request.get("id"), "ok": True}
        try:
            if request["cmd"] == "shutdown":
                peer.close()
            else:
                answer |= peer.handle(request["cmd"], request.get("params", {}))
        except (ValueError, TypeError, KeyError, RuntimeError, TimeoutError) as error:
            answer |= {"ok": False, "error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
        if request["cmd"] == "shutdown":
            return
    peer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--disk-io", choices=["pread", "mmap", "posix"])
    serve(Peer(parser.parse_args().disk_io))


if __name__ == "__main__":
    main()
