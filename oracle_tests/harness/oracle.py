"""libtorrent, set up to be alone with its peers on loopback, and its alerts as plain
records (an alert of libtorrent's is dead at the next `pop_alerts`)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import libtorrent as lt

from harness.payload import Payload
from harness.waiting import DEADLINE_SECONDS

_CATEGORY = lt.alert.category_t

# Alerts that the tests may look at: all but the logs.
ALERT_MASK = 0x7FFFFFFF & ~(
    _CATEGORY.peer_log_notification
    | _CATEGORY.torrent_log_notification
    | _CATEGORY.session_log_notification
    | _CATEGORY.picker_log_notification
    | _CATEGORY.dht_log_notification
    | _CATEGORY.port_mapping_log_notification
)

ISOLATED: dict[str, Any] = {
    "alert_mask": ALERT_MASK,
    "alert_queue_size": 100_000,
    "listen_interfaces": "127.0.0.1:0",
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_ip_notifier": False,
    "dht_bootstrap_nodes": "",
    "allow_multiple_connections_per_ip": True,
    # It would try uTP first, and TCP only seconds later.
    "enable_outgoing_utp": False,
    "enable_incoming_utp": False,
    # The same goes for encryption.
    "out_enc_policy": int(lt.enc_policy.disabled),
    # Its destructor waits that long for trackers.
    "stop_tracker_timeout": 1,
    # What has to be retried is retried at once.
    "min_reconnect_time": 1,
    "tracker_backoff": 10,
}

# The bit that builds with the old interface add to alerts of progress.
LEGACY_CATEGORY = 1 << 7

# What is kept of an alert, where it has it.
FIELDS = (
    "address",
    "banned_address",
    "block_index",
    "dropped_alerts",
    "error_message",
    "event",
    "index",
    "new_name",
    "num_peers",
    "old_name",
    "old_path",
    "op",
    "piece",
    "piece_availability",
    "piece_index",
    "port",
    "prev_state",
    "reason",
    "size",
    "socket_type",
    "state",
    "storage_path",
    "times_in_row",
    "tracker_url",
    "values",
    "version",
    "warning_code",
    "warning_message",
)

# What must never be heard of in a transfer between honest peers. Not `peer_error`: that is
# also how libtorrent reports an ordinary end of a connection.
BAD_ALERTS = frozenset(
    {
        "hash_failed",
        "file_error",
        "torrent_error",
        "fastresume_rejected",
        "peer_ban",
        "invalid_request",
        "unwanted_block",
        "session_error",
    }
)


@dataclass(frozen=True)
class Alert:
    """What is kept of an alert."""

    what: str
    message: str
    info_hash: str
    fields: dict[str, Any]
    # As libtorrent documents it: without the bit of the categories that were before those.
    category: int = 0


class Oracle:
    """A libtorrent session. Used as a context manager."""

    def __init__(self, settings: dict[str, Any] | None = None) -> None:
        self._session = lt.session(ISOLATED | (settings or {}))
        self._limit_loopback(settings or {})
        self.port: int = self._session.listen_port()
        assert self.port > 0, "libtorrent has no port"
        self.alerts: list[Alert] = []
        # Where the search of `wait_for` goes on.
        self._seen = 0

    def __enter__(self) -> Oracle:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._take_alerts()
            tail = "\n".join(f"{alert.what}: {alert.message}" for alert in self.alerts[-80:])
            error.add_note(f"libtorrent's last alerts:\n{tail}")
        self._session = None

    @property
    def session(self) -> lt.session:
        """The session itself, for what only one test needs."""
        return self._session

    def _limit_loopback(self, settings: dict[str, Any]) -> None:
        """Limits of the session's rates are none for peers on loopback, unless their class has
        the same ones."""
        local = lt.session.local_peer_class_id
        limits = {
            name: settings[setting]
            for name, setting in [
                ("upload_limit", "upload_rate_limit"),
                ("download_limit", "download_rate_limit"),
            ]
            if setting in settings
        }
        if limits:
            self._session.set_peer_class(local, self._session.get_peer_class(local) | limits)

    # --- torrents ---------------------------------------------------------------------

    def add(self, torrent: bytes, save_path: Path, *, seed_mode: bool = False) -> lt.torrent_handle:
        """Adds a torrent that starts at once."""
        params = lt.load_torrent_buffer(torrent)
        params.save_path = str(save_path)
        params.flags &= ~(lt.torrent_flags.paused | lt.torrent_flags.auto_managed)
        if seed_mode:
            params.flags |= lt.torrent_flags.seed_mode
        return self._session.add_torrent(params)

    def add_queued(self, torrent: bytes, save_path: Path) -> lt.torrent_handle:
        """Adds a torrent that the queue starts when its turn comes."""
        params = lt.load_torrent_buffer(torrent)
        params.save_path = str(save_path)
        params.flags |= lt.torrent_flags.paused | lt.torrent_flags.auto_managed
        return self._session.add_torrent(params)

    def apply_settings(self, **settings: Any) -> None:
        """Changes settings."""
        self._session.apply_settings(settings)

    def add_magnet(self, uri: str, save_path: Path) -> lt.torrent_handle:
        """Adds a magnet link that starts at once."""
        params = lt.parse_magnet_uri(uri)
        params.save_path = str(save_path)
        params.flags &= ~(lt.torrent_flags.paused | lt.torrent_flags.auto_managed)
        return self._session.add_torrent(params)

    def seed(self, torrent: bytes, save_path: Path) -> lt.torrent_handle:
        """Adds a torrent whose data is there, and returns when it is checked and seeding."""
        handle = self.add(torrent, save_path)
        self.wait_for_state(handle, lt.torrent_status.states.seeding)
        return handle

    def wait_for_state(self, handle: lt.torrent_handle, state: Any) -> lt.torrent_status:
        """Waits until the torrent is in a state."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            # Looked at once more after the deadline, like all that is waited for.
            late = time.monotonic() > deadline
            if (status := handle.status()).state == state:
                return status
            assert not status.errc.value(), status.errc.message()
            if late:
                raise AssertionError(f"libtorrent is in state {status.state}, not {state}")
            # The change comes with an alert, which ends the wait early.
            self._session.wait_for_alert(100)
            self._take_alerts()

    def seed_part(self, payload: Payload, save_path: Path, pieces: int) -> lt.torrent_handle:
        """Shares a copy of a single file that ends after so many pieces: whoever has nobody
        else to ask gets those and waits for the others, however fast it is."""
        save_path.mkdir(parents=True)
        content = payload.root.read_bytes()[: pieces * payload.piece_size]
        (save_path / payload.root.name).write_bytes(content)
        handle = self.add(payload.torrent, save_path)
        self.wait_for("torrent_checked", lambda alert: alert.info_hash == payload.info_hash)
        assert handle.status().num_pieces == pieces
        # It gives what it has, and takes nothing.
        handle.set_flags(lt.torrent_flags.upload_mode)
        return handle

    def flush(self, handle: lt.torrent_handle) -> None:
        """Waits until all that a torrent has is in its files."""
        handle.flush_cache()
        self.wait_for("cache_flushed")

    def wait_for_copy(self, handle: lt.torrent_handle, payload: Payload, save_path: Path) -> None:
        """Waits until a leecher has everything, and compares its files."""
        self.wait_for_state(handle, lt.torrent_status.states.seeding)
        self.flush(handle)
        payload.assert_same(save_path)

    # --- alerts -----------------------------------------------------------------------

    def wait_for(
        self,
        what: str,
        condition: Callable[[Alert], bool] = lambda alert: True,
        seconds: float = DEADLINE_SECONDS,
    ) -> Alert:
        """The next alert of a type that satisfies `condition`; goes on where the last call
        ended."""
        deadline = time.monotonic() + seconds
        while True:
            while self._seen < len(self.alerts):
                alert = self.alerts[self._seen]
                self._seen += 1
                if alert.what == what and condition(alert):
                    return alert
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(f"libtorrent posts no {what} alert in {seconds:.0f} s")
            self._session.wait_for_alert(max(1, int(left * 1000)))
            self._take_alerts()

    def take_alerts(self) -> list[Alert]:
        """Every alert since the last call, or since the last search of `wait_for`."""
        self._take_alerts()
        taken = self.alerts[self._seen :]
        self._seen = len(self.alerts)
        return taken

    def assert_no_errors(self) -> None:
        """Fails if libtorrent found fault with the data, the files or the peer."""
        self._take_alerts()
        bad = [f"{alert.what}: {alert.message}" for alert in self.alerts if _is_bad(alert)]
        assert not bad, "libtorrent complains:\n" + "\n".join(bad)

    def _take_alerts(self) -> None:
        self.alerts.extend(_record(alert) for alert in self._session.pop_alerts())


def _is_bad(alert: Alert) -> bool:
    return alert.what in BAD_ALERTS


def _record(alert: lt.alert) -> Alert:
    info_hash = ""
    if isinstance(alert, lt.torrent_alert) and alert.handle.is_valid():
        info_hash = str(alert.handle.info_hashes().v1)
    fields: dict[str, Any] = {}
    for name in FIELDS:
        value = getattr(alert, name, None)
        if value is not None and (isinstance(value, int) or not callable(value)):
            fields[name] = value
    category = int(alert.category()) & ~LEGACY_CATEGORY
    return Alert(alert.what(), alert.message(), info_hash, fields, category)
