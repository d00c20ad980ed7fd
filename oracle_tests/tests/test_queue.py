"""The queue: which torrents run, in which order, and when a seed has done its part. Both
engines have the same torrents and the same settings, and decide the same."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import libtorrent as lt
import pytest
from harness.oracle import Oracle
from harness.payload import KIB, Payload, single_file
from harness.rpc import Shim
from harness.waiting import wait_until

SETTINGS = {
    "allow_multiple_connections_per_ip": True,
    "auto_manage_interval": 1,
    "dont_count_slow_torrents": False,
    "active_checking": 1,
    "status_update_interval": 20,
}
CHECKING = (
    lt.torrent_status.states.checking_files,
    lt.torrent_status.states.checking_resume_data,
)
SEEDING = lt.torrent_status.states.seeding


@dataclass
class Both:
    """Our engine and libtorrent's with the same queue."""

    ours: Shim
    theirs: Oracle
    folder: Path
    payloads: list[Payload] = field(default_factory=list)
    handles: list[lt.torrent_handle] = field(default_factory=list)

    def set(self, **settings: Any) -> None:
        self.ours.call("apply_settings", settings=settings)
        known = {name: value for name, value in settings.items() if name in lt.default_settings()}
        self.theirs.apply_settings(**known)

    def add(self, payload: Payload, *, seed: bool = False) -> int:
        """Adds a torrent to the end of both queues; returns its number."""
        number = len(self.payloads)
        folders = [self.folder / f"{name} {number}" for name in ("ours", "theirs")]
        if seed:
            folders = [payload.save_path, payload.save_path]
        self.ours.call(
            "add_torrent_file",
            path=str(payload.torrent_path),
            save_path=str(folders[0]),
            flags=["paused", "auto_managed"],
        )
        self.payloads.append(payload)
        self.handles.append(self.theirs.add_queued(payload.torrent, folders[1]))
        return number

    def move(self, number: int, where: str) -> None:
        """Moves a torrent in both queues: up, down, top or bottom."""
        name = f"queue_{where}"
        self.ours.call(
            "set_torrent_options", torrent_id=self.payloads[number].info_hash, **{name: True}
        )
        getattr(self.handles[number], f"queue_position_{where}")()

    def our_status(self, number: int) -> dict[str, Any]:
        return self.ours.status(self.payloads[number].info_hash)

    def running(self) -> tuple[set[int], set[int]]:
        """Which torrents run, of ours and of libtorrent's."""
        ours = {
            number
            for number in range(len(self.payloads))
            if not (status := self.our_status(number))["paused"] and status["state"] in (3, 4, 5)
        }
        statuses = [handle.status() for handle in self.handles]
        theirs = {
            number
            for number, status in enumerate(statuses)
            if not status.flags & lt.torrent_flags.paused and status.state not in CHECKING
        }
        return ours, theirs

    def positions(self) -> tuple[list[int], list[int]]:
        """The places of all torrents, of ours and of libtorrent's."""
        ours = [self.our_status(number)["queue_position"] for number in range(len(self.payloads))]
        return ours, [handle.queue_position() for handle in self.handles]

    def expect_running(self, *expected: int) -> None:
        self._expect(self.running, set(expected), "run")

    def expect_positions(self, *expected: int) -> None:
        self._expect(self.positions, list(expected), "are their places")

    def _expect(self, look: Callable[[], tuple[Any, Any]], expected: Any, what: str) -> None:
        last: Any = None

        def same() -> bool:
            nonlocal last
            last = look()
            return last == (expected, expected)

        try:
            wait_until(same, f"{expected} {what}")
        except AssertionError as error:
            raise AssertionError(f"{error}; ours and libtorrent's: {last}") from None


@pytest.fixture
def both(shim: Shim, tmp_path: Path) -> Iterator[Both]:
    shim.start_session(settings=SETTINGS)
    known = {name: value for name, value in SETTINGS.items() if name in lt.default_settings()}
    with Oracle(known) as oracle:
        yield Both(shim, oracle, tmp_path)


def payloads(rng: random.Random, folder: Path, count: int, size: int = 100_000) -> list[Payload]:
    return [single_file(folder / f"data {n}" / "x", rng, 16 * KIB, size) for n in range(count)]


def settle(both: Both) -> None:
    """Waits until everything is checked on both sides."""

    def checked() -> bool:
        numbers = range(len(both.payloads))
        return all(both.our_status(number)["state"] in (3, 4, 5) for number in numbers) and all(
            handle.status().state not in CHECKING for handle in both.handles
        )

    wait_until(checked, "everything is checked")


def test_six_torrents_take_turns(both: Both, rng: random.Random, tmp_path: Path) -> None:
    both.set(active_downloads=2, active_seeds=5, active_limit=500)
    all_ = payloads(rng, tmp_path, 6)
    for payload in all_:
        both.add(payload)
    settle(both)
    both.expect_positions(0, 1, 2, 3, 4, 5)
    both.expect_running(0, 1)
    both.move(5, "top")
    both.expect_positions(1, 2, 3, 4, 5, 0)
    both.expect_running(5, 0)
    both.move(0, "bottom")
    both.expect_positions(5, 1, 2, 3, 4, 0)
    both.expect_running(5, 1)
    both.move(3, "up")
    both.expect_positions(5, 1, 3, 2, 4, 0)
    both.move(1, "down")
    both.expect_positions(5, 2, 3, 1, 4, 0)
    both.expect_running(5, 3)
    both.set(active_downloads=4)
    both.expect_running(5, 3, 1, 2)
    both.set(active_limit=3)
    both.expect_running(5, 3, 1)
    both.set(active_limit=500, active_downloads=-1)
    both.expect_running(0, 1, 2, 3, 4, 5)
    both.set(active_downloads=0)
    both.expect_running()
    # One that is told to run by its owner is not in the queue's hands.
    number = 4
    both.ours.call("set_torrent_options", torrent_id=all_[number].info_hash, auto_managed=False)
    both.ours.call("resume_torrent", torrent_id=all_[number].info_hash)
    both.handles[number].unset_flags(lt.torrent_flags.auto_managed)
    both.handles[number].resume()
    both.expect_running(number)
    both.set(active_downloads=1)
    both.expect_running(number, 5)


def test_the_next_one_starts_when_one_is_done_or_gone(
    both: Both, oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    both.set(active_downloads=2, active_seeds=0)
    all_ = payloads(rng, tmp_path, 6)
    for payload in all_:
        both.add(payload)
    settle(both)
    both.expect_running(0, 1)
    # Done, and no seed has a place.
    oracle.seed(all_[1].torrent, all_[1].save_path)
    both.ours.call("connect_peer", torrent_id=all_[1].info_hash, ip="127.0.0.1", port=oracle.port)
    both.handles[1].connect_peer(("127.0.0.1", oracle.port))
    both.expect_running(0, 2)
    both.expect_positions(0, -1, 1, 2, 3, 4)
    both.set(active_seeds=1)
    both.expect_running(0, 1, 2)
    # Paused by its owner: that one waits no longer.
    both.ours.call("pause_torrent", torrent_id=all_[0].info_hash)
    both.handles[0].unset_flags(lt.torrent_flags.auto_managed)
    both.handles[0].pause()
    both.expect_running(1, 2, 3)
    both.expect_positions(0, -1, 1, 2, 3, 4)


def test_seeds_and_downloads_share_the_limit(
    both: Both, rng: random.Random, tmp_path: Path
) -> None:
    both.set(active_downloads=2, active_seeds=1, active_limit=10)
    for number, payload in enumerate(payloads(rng, tmp_path, 5)):
        both.add(payload, seed=number == 4)
    settle(both)
    both.expect_positions(0, 1, 2, 3, -1)
    both.expect_running(0, 1, 4)
    both.set(active_limit=2)
    both.expect_running(0, 1)
    both.set(auto_manage_prefer_seeds=True)
    both.expect_running(0, 4)
    both.set(active_seeds=0)
    both.expect_running(0, 1)


def test_slow_torrents_are_not_counted_when_they_need_not_be(
    both: Both, rng: random.Random, tmp_path: Path
) -> None:
    both.set(active_downloads=1, active_seeds=1, active_limit=4, auto_manage_startup=1)
    for number, payload in enumerate(payloads(rng, tmp_path, 6)):
        both.add(payload, seed=number == 5)
    settle(both)
    both.expect_running(0, 5)
    # Nobody transfers anything: only the limit of all holds. Downloads go first.
    both.set(dont_count_slow_torrents=True)
    both.expect_running(0, 1, 2, 3)
    both.set(active_limit=10)
    both.expect_running(0, 1, 2, 3, 4, 5)
    both.set(dont_count_slow_torrents=False)
    both.expect_running(0, 5)


def fetched_in_time(both: Both, rng: random.Random, tmp_path: Path, stack: ExitStack) -> None:
    """Two torrents that both engines have downloaded, not at once."""
    all_ = payloads(rng, tmp_path, 2)
    for payload in all_:
        both.add(payload)
    settle(both)
    # What takes no time at all counts for nothing.
    wait_until(
        lambda: all(
            both.our_status(number)["active_time"] >= 3
            and both.handles[number].status().active_duration.total_seconds() >= 3
            for number in range(2)
        ),
        "some time of downloading",
    )
    oracle = stack.enter_context(Oracle())
    for number, payload in enumerate(all_):
        oracle.seed(payload.torrent, payload.save_path)
        both.ours.call(
            "connect_peer", torrent_id=payload.info_hash, ip="127.0.0.1", port=oracle.port
        )
        both.handles[number].connect_peer(("127.0.0.1", oracle.port))
    wait_until(
        lambda: all(
            both.our_status(number)["is_seeding"] and both.handles[number].status().state == SEEDING
            for number in range(2)
        ),
        "both are downloaded by both",
    )


def the_one(both: Both) -> tuple[int, int]:
    """Which seed runs, of ours and of libtorrent's, when one does."""

    def look() -> tuple[int, int] | None:
        ours, theirs = both.running()
        if len(ours) == len(theirs) == 1:
            return ours.pop(), theirs.pop()
        return None

    return wait_until(look, "one seed runs in each")


# None of the limits on seeds is in the way of another.
NO_LIMITS = {
    "active_downloads": 2,
    "active_seeds": 1,
    "share_ratio_limit": 1_000_000,
    "seed_time_ratio_limit": 1_000_000,
    "seed_time_limit": 1_000_000,
}


@pytest.mark.parametrize(
    ("limit", "value"), [("seed_time_limit", 3), ("seed_time_ratio_limit", 50)]
)
def test_a_seed_that_has_had_its_time_makes_room(
    both: Both, rng: random.Random, tmp_path: Path, limit: str, value: int
) -> None:
    both.set(**NO_LIMITS)
    with ExitStack() as stack:
        fetched_in_time(both, rng, tmp_path, stack)
        ours, theirs = the_one(both)
        both.set(**{limit: value})
        wait_until(lambda: the_one(both) == (1 - ours, 1 - theirs), "the other one's turn")
        status = both.our_status(ours)
        assert status["finished_time"] >= 1
        assert status["queue_position"] == -1


def test_a_seed_that_has_given_its_share_makes_room(
    both: Both, rng: random.Random, tmp_path: Path
) -> None:
    both.set(**NO_LIMITS)
    with ExitStack() as stack:
        fetched_in_time(both, rng, tmp_path, stack)
        both.set(share_ratio_limit=100)
        ours, theirs = the_one(both)
        leecher = stack.enter_context(Oracle())
        handle = leecher.add(both.payloads[ours].torrent, tmp_path / "from us")
        handle.connect_peer(("127.0.0.1", both.ours.port))
        other = stack.enter_context(Oracle())
        handle = other.add(both.payloads[theirs].torrent, tmp_path / "from them")
        handle.connect_peer(("127.0.0.1", both.theirs.port))
        for who in (leecher, other):
            who.wait_for("torrent_finished")
        wait_until(lambda: the_one(both) == (1 - ours, 1 - theirs), "the other one's turn")
        assert both.our_status(ours)["total_payload_upload"] >= both.payloads[ours].size
