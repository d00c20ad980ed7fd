"""Rate limits: of the session and of a torrent, both ways, exact and fair, changed while
data moves; beside libtorrent on the other end, which is not limited."""

from __future__ import annotations

import functools
import operator
import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from harness.oracle import Oracle
from harness.payload import KIB, Payload, single_file
from harness.rpc import Shim
from harness.stalls import Stalls
from harness.waiting import wait_until

# Everybody is 127.0.0.1 here; what a limit is compared with are the bytes of the protocol
# alone, unless a test says otherwise.
SETTINGS = {
    "allow_multiple_connections_per_ip": True,
    "rate_limit_ip_overhead": False,
    "status_update_interval": 20,
}

LIMIT = 300_000
WINDOW_SECONDS = 5.0
TOLERANCE = 0.05

# How many windows there are to keep to the limit in. A machine that has no time for us keeps us
# below it, and shows bytes in one window that came in the one before.
WINDOWS = 10

# What is kept of an allowance that could not be used, in seconds of the limit: it may be used
# all at once when the disk, or the other end, has time again.
KEPT_SECONDS = 0.2

# Where those who move bytes waited no longer than that, a window shows what the limit made of
# it and nothing else.
QUIET_SECONDS = WINDOW_SECONDS * TOLERANCE

# Windows that show together what one does not on a busy machine.
TOGETHER = 3

# Who is kept waiting for less than that in a window is not starved.
STARVED_SECONDS = WINDOW_SECONDS / 2

# Reads a counter of an engine.
Count = Callable[[Shim], int]


@dataclass(frozen=True)
class Sample:
    """Bytes at a moment between two others."""

    before: float
    bytes: int
    after: float


def sample(read: Callable[[], int]) -> Sample:
    before = time.monotonic()
    count = read()
    return Sample(before, count, time.monotonic())


@dataclass(frozen=True)
class Window:
    """What passed in a time. Its ends are known as well as the samples at them are."""

    bytes: int
    # The time that it was, at least and at most.
    shortest: float
    longest: float
    # How long those who move the bytes, and tell of them, waited for a processor.
    stalled: float

    def __str__(self) -> str:
        return (
            f"{self.bytes} bytes in {self.shortest:.3f} to {self.longest:.3f} s"
            f" ({self.stalled:.3f} s stalled)"
        )

    def __add__(self, next_: Window) -> Window:
        """What passed in this one and the one right after it."""
        return Window(
            self.bytes + next_.bytes,
            self.shortest + next_.shortest,
            self.longest + next_.longest,
            self.stalled + next_.stalled,
        )

    def keeps(self, limit: int) -> bool:
        """The limit was neither passed nor left unused."""
        return self.excess(limit) <= 0 and self.shortfall(limit) <= 0

    def excess(self, limit: int) -> float:
        """Seconds of the limit that passed beyond what the tolerance allows."""
        return self.bytes / limit - self.longest * (1 + TOLERANCE)

    def shortfall(self, limit: int) -> float:
        """Seconds of the limit that are missing, beyond what the tolerance allows."""
        return self.shortest * (1 - TOLERANCE) - self.bytes / limit


def window(shim: Shim, read: Callable[[], int], first: Sample) -> tuple[Window, Sample]:
    # Whoever waits now is counted when it is over: it may be the one who would have told of
    # bytes that came before.
    stalls = Stalls(shim.process.pid)
    # Not a wait for anything: it is the time that is measured over.
    time.sleep(WINDOW_SECONDS)
    last = sample(read)
    passed = Window(
        last.bytes - first.bytes,
        last.before - first.after,
        last.after - first.before,
        stalls.seconds(),
    )
    return passed, last


def assert_limited(shim: Shim, count: Count, limit: int) -> None:
    """The limit is kept and used up in a quiet window, or in several together. Until then no
    window is above it by more than stalls of the machine explain; nor below it in all, where
    it is never used up."""
    read = lambda: count(shim)  # noqa: E731
    windows: list[Window] = []
    last = sample(read)
    for _ in range(WINDOWS):
        it, last = window(shim, read, last)
        windows.append(it)
        tale = f"a limit of {limit}: " + ", ".join(str(window) for window in windows)
        assert it.excess(limit) <= KEPT_SECONDS + it.stalled, tale
        if it.stalled <= QUIET_SECONDS and it.keeps(limit):
            return
        together = functools.reduce(operator.add, windows[-TOGETHER:])
        if len(windows) >= TOGETHER and together.keeps(limit):
            return
    together = functools.reduce(operator.add, windows)
    assert together.excess(limit) <= 0, tale
    for it in windows:
        assert it.keeps(limit) or it.stalled > max(STARVED_SECONDS, it.shortfall(limit)), tale


def received(shim: Shim) -> int:
    return shim.call("get_engine_stats")["stats"]["net.recv_bytes"]


def sent(shim: Shim) -> int:
    return shim.call("get_engine_stats")["stats"]["net.sent_bytes"]


@pytest.fixture
def payload(tmp_path: Path, rng: random.Random) -> Payload:
    """What no test can move within its limits."""
    return single_file(tmp_path / "payload", rng, 64 * KIB, 64 << 20)


def download(
    stack: ExitStack, shim: Shim, payload: Payload, save_path: Path, seeds: int, **options: int
) -> None:
    """We download from seeds of libtorrent's, each of which has sent something when this
    returns."""
    shim.call("add_torrent_file", path=str(payload.torrent_path), save_path=str(save_path))
    if options:
        shim.call("set_torrent_options", torrent_id=payload.info_hash, **options)
    for _ in range(seeds):
        seed = stack.enter_context(Oracle())
        seed.seed(payload.torrent, payload.save_path)
        shim.call("connect_peer", torrent_id=payload.info_hash, ip="127.0.0.1", port=seed.port)
    moved = lambda: [it for it in by_peer(shim, payload, "total_download") if it > 64 * KIB]  # noqa: E731
    wait_until(lambda: len(moved()) == seeds, "every seed sends")


def upload(
    stack: ExitStack, shim: Shim, payload: Payload, save_path: Path, leechers: int, **options: int
) -> list[Oracle]:
    """Leechers of libtorrent's download from us and not from each other."""
    shim.seed(payload)
    if options:
        shim.call("set_torrent_options", torrent_id=payload.info_hash, **options)
    oracles = [stack.enter_context(Oracle()) for _ in range(leechers)]
    for number, oracle in enumerate(oracles):
        handle = oracle.add(payload.torrent, save_path / f"leecher {number}")
        handle.connect_peer(("127.0.0.1", shim.port))
    moved = lambda: [it for it in by_peer(shim, payload, "total_upload") if it > 64 * KIB]  # noqa: E731
    wait_until(lambda: len(moved()) == leechers, "every leecher gets something")
    return oracles


def by_peer(shim: Shim, payload: Payload, field: str) -> list[int]:
    """What each peer sent or got so far, by its port."""
    peers = shim.call("get_peers", torrent_id=payload.info_hash)["peers"]
    return [peer[field] for peer in sorted(peers, key=lambda peer: peer["port"])]


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_session_downloads_no_faster(
    shim: Shim, payload: Payload, tmp_path: Path, seeds: int
) -> None:
    shim.start_session(settings=SETTINGS | {"download_rate_limit": LIMIT})
    with ExitStack() as stack:
        download(stack, shim, payload, tmp_path / "save", seeds)
        assert_limited(shim, received, LIMIT)


@pytest.mark.parametrize("leechers", [1, 3])
def test_the_session_uploads_no_faster(
    shim: Shim, payload: Payload, tmp_path: Path, leechers: int
) -> None:
    shim.start_session(settings=SETTINGS | {"upload_rate_limit": LIMIT})
    with ExitStack() as stack:
        upload(stack, shim, payload, tmp_path, leechers)
        assert_limited(shim, sent, LIMIT)


def test_a_torrent_downloads_no_faster(shim: Shim, payload: Payload, tmp_path: Path) -> None:
    shim.start_session(settings=SETTINGS | {"download_rate_limit": 10 * LIMIT})
    with ExitStack() as stack:
        download(stack, shim, payload, tmp_path / "save", 2, download_limit=LIMIT)
        assert_limited(shim, received, LIMIT)
        status = shim.status(payload.info_hash)
        assert status["download_limit"] == LIMIT


def test_a_torrent_uploads_no_faster(shim: Shim, payload: Payload, tmp_path: Path) -> None:
    shim.start_session(settings=SETTINGS | {"upload_rate_limit": 10 * LIMIT})
    with ExitStack() as stack:
        upload(stack, shim, payload, tmp_path, 2, upload_limit=LIMIT)
        assert_limited(shim, sent, LIMIT)
        status = shim.status(payload.info_hash)
        assert status["upload_limit"] == LIMIT


@pytest.mark.parametrize("way", ["down", "up"])
def test_peers_share_a_limit_evenly(shim: Shim, payload: Payload, tmp_path: Path, way: str) -> None:
    """Among peers that all have time; a stall of one is not our unfairness."""
    setting = {"down": "download_rate_limit", "up": "upload_rate_limit"}[way]
    field = {"down": "total_download", "up": "total_upload"}[way]
    shim.start_session(settings=SETTINGS | {setting: LIMIT})
    with ExitStack() as stack:
        if way == "down":
            download(stack, shim, payload, tmp_path / "save", 3)
        else:
            upload(stack, shim, payload, tmp_path, 3)
        seen: list[tuple[list[int], float]] = []
        for _ in range(WINDOWS):
            stalls = Stalls(shim.process.pid)
            before = by_peer(shim, payload, field)

            def shares(before: list[int] = before) -> list[int]:
                now = by_peer(shim, payload, field)
                return [late - early for late, early in zip(now, before, strict=True)]

            wait_until(lambda shares=shares: sum(shares()) >= 8 * LIMIT, "enough to compare")
            moved = shares()
            fair = sum(moved) / len(moved)
            unfair = max(abs(it - fair) for it in moved) - fair / 10
            seen.append((moved, stalls.seconds()))
            if unfair <= 0:
                return
            assert unfair <= LIMIT * seen[-1][1], seen
        raise AssertionError(f"unfair in each of {seen}")


def test_a_limit_changes_while_data_moves(shim: Shim, payload: Payload, tmp_path: Path) -> None:
    shim.start_session(settings=SETTINGS | {"download_rate_limit": LIMIT})
    with ExitStack() as stack:
        download(stack, shim, payload, tmp_path / "save", 2)
        for limit in (LIMIT // 3, 2 * LIMIT):
            shim.call("apply_settings", settings={"download_rate_limit": limit})
            assert_limited(shim, received, limit)
        # A torrent's own within it, and without it.
        shim.call("set_torrent_options", torrent_id=payload.info_hash, download_limit=LIMIT // 2)
        assert_limited(shim, received, LIMIT // 2)
        shim.call("apply_settings", settings={"download_rate_limit": 0})
        assert_limited(shim, received, LIMIT // 2)
        shim.call("set_torrent_options", torrent_id=payload.info_hash, download_limit=0)
        shim.wait_until_seeding(payload.info_hash)


def test_an_upload_limit_changes_while_data_moves(
    shim: Shim, payload: Payload, tmp_path: Path
) -> None:
    shim.start_session(settings=SETTINGS | {"upload_rate_limit": LIMIT})
    with ExitStack() as stack:
        oracles = upload(stack, shim, payload, tmp_path, 2)
        for limit in (LIMIT // 3, 2 * LIMIT):
            shim.call("apply_settings", settings={"upload_rate_limit": limit})
            assert_limited(shim, sent, limit)
        shim.call("apply_settings", settings={"upload_rate_limit": 0})
        for oracle in oracles:
            oracle.wait_for("torrent_finished")
            oracle.assert_no_errors()


@pytest.mark.parametrize("way", ["down", "up"])
def test_headers_count_where_they_are_to(
    shim: Shim, payload: Payload, tmp_path: Path, way: str
) -> None:
    setting = {"down": "download_rate_limit", "up": "upload_rate_limit"}[way]
    shim.start_session(settings=SETTINGS | {setting: LIMIT, "rate_limit_ip_overhead": True})
    with ExitStack() as stack:
        if way == "down":
            download(stack, shim, payload, tmp_path / "save", 2)
            count = received
        else:
            upload(stack, shim, payload, tmp_path, 2)
            count = sent
        # 40 bytes of headers in a packet of 1500.
        assert_limited(shim, count, LIMIT * 1460 // 1500)


def test_the_local_network_can_be_spared(shim: Shim, rng: random.Random, tmp_path: Path) -> None:
    payload = single_file(tmp_path / "payload", rng, 64 * KIB, 8 << 20)
    # At these limits it would take hours.
    limits = {"download_rate_limit": 1000, "upload_rate_limit": 1000}
    shim.start_session(settings=SETTINGS | limits | {"ignore_limits_on_local_network": True})
    with ExitStack() as stack:
        download(stack, shim, payload, tmp_path / "save", 1)
        shim.wait_until_seeding(payload.info_hash)
        leecher = stack.enter_context(Oracle())
        handle = leecher.add(payload.torrent, tmp_path / "leecher")
        handle.connect_peer(("127.0.0.1", shim.port))
        leecher.wait_for("torrent_finished")
        leecher.assert_no_errors()


def test_a_torrents_limit_spares_nobody(shim: Shim, payload: Payload, tmp_path: Path) -> None:
    settings = SETTINGS | {"download_rate_limit": 1000, "ignore_limits_on_local_network": True}
    shim.start_session(settings=settings)
    with ExitStack() as stack:
        download(stack, shim, payload, tmp_path / "save", 1, download_limit=LIMIT)
        assert_limited(shim, received, LIMIT)
        # From now on the session's holds too.
        shim.call("apply_settings", settings={"ignore_limits_on_local_network": False})
        shim.call("apply_settings", settings={"download_rate_limit": LIMIT // 3})
        assert_limited(shim, received, LIMIT // 3)
