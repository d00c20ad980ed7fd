"""Trackers by UDP, tiers of trackers, scrapes and dead trackers: both engines do the same."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import libtorrent as lt
import pytest
from harness.oracle import Oracle
from harness.payload import KIB, Payload, describe
from harness.rpc import Shim
from harness.tracker import Tracker
from harness.udp_tracker import UdpAnnounce, UdpTracker
from harness.waiting import wait_until


@pytest.fixture
def udp() -> Iterator[UdpTracker]:
    """A UDP tracker that knows nobody yet."""
    with UdpTracker() as tracker:
        yield tracker


def payload_of(trackers: list[str], rng: random.Random, folder: Path) -> Payload:
    """A payload whose torrent names these trackers, each a tier of its own."""
    folder.mkdir()
    root = folder / "tracked.bin"
    root.write_bytes(rng.randbytes(1_000_003))
    return describe(root, 64 * KIB, trackers)


def summary(told: list[UdpAnnounce], payload: Payload) -> list[tuple[object, ...]]:
    """What is the same whoever announces."""
    assert {announce.info_hash for announce in told} == {payload.info_hash}
    assert len({announce.peer_id for announce in told}) == 1
    return [
        (announce.event, announce.left, announce.downloaded, announce.num_want, announce.path)
        for announce in told
        if announce.event
    ]


def test_both_tell_a_udp_tracker_the_same(
    shim: Shim, oracle: Oracle, udp: UdpTracker, rng: random.Random, tmp_path: Path
) -> None:
    payload = payload_of([udp.url], rng, tmp_path / "seed")
    seed = oracle.seed(payload.torrent, payload.save_path)
    wait_until(lambda: udp.announces_of(oracle.port), "libtorrent announces")
    port = shim.start_session()
    torrent_id = shim.call(
        "add_torrent_file", path=str(payload.torrent_path), save_path=str(tmp_path / "save")
    )["torrent_id"]
    shim.wait_until_seeding(torrent_id)
    events = lambda of: [announce.event for announce in udp.announces_of(of)]  # noqa: E731
    wait_until(lambda: "completed" in events(port), "we tell of the completion")
    shim.call("pause_torrent", torrent_id=torrent_id)
    wait_until(lambda: "stopped" in events(port), "we tell of the stop")
    ours = summary(udp.announces_of(port), payload)
    oracle.wait_for("tracker_reply")
    seed.pause()
    wait_until(lambda: "stopped" in events(oracle.port), "libtorrent tells of the stop")

    shim.call("resume_torrent", torrent_id=torrent_id)
    wait_until(lambda: events(port)[-1] == "started", "we are back")
    with Oracle() as leecher:
        handle = leecher.add(payload.torrent, tmp_path / "other")
        leecher.wait_for_state(handle, lt.torrent_status.states.seeding)
        wait_until(lambda: "completed" in events(leecher.port), "libtorrent tells of it too")
        # Paused while it waits for an answer, libtorrent may not tell of the stop.
        for _ in ("started", "completed"):
            leecher.wait_for("tracker_reply")
        handle.pause()
        wait_until(lambda: "stopped" in events(leecher.port), "and of the stop")
        theirs = summary(udp.announces_of(leecher.port), payload)
    assert ours == theirs
    assert [event for event, *_ in ours] == ["started", "completed", "stopped"]


def test_a_scrape_brings_the_same_numbers(
    ours: Shim, oracle: Oracle, udp: UdpTracker, rng: random.Random, tmp_path: Path
) -> None:
    payload = payload_of([udp.url], rng, tmp_path / "seed")
    handle = oracle.seed(payload.torrent, payload.save_path)
    # The answer to the announce has numbers too.
    oracle.wait_for("tracker_reply")
    handle.scrape_tracker()
    oracle.wait_for("scrape_reply")
    torrent_id = ours.call(
        "add_torrent_and_seed", path=str(payload.torrent_path), data_dir=str(payload.save_path)
    )["torrent_id"]
    ours.wait_for_alert("tracker_reply", torrent_id)
    # Nobody has downloaded anything.
    assert {announce.event for announce in udp.announces} == {"started"}
    ours.call("scrape_tracker", torrent_id=torrent_id)
    alert = ours.wait_for_alert("scrape_reply", torrent_id)
    assert (alert["complete"], alert["incomplete"]) == (5, 7)
    assert alert["tracker_url"] == udp.url
    names = ("scrape_complete", "scrape_incomplete", "scrape_downloaded")
    endpoint = handle.trackers()[0]["endpoints"][0]["info_hashes"][0]

    def scraped() -> bool:
        (known,) = ours.call("get_trackers", torrent_id=torrent_id)["trackers"]
        return all(known[name] == endpoint[name] for name in names)

    wait_until(scraped, f"the numbers of {endpoint}")
    theirs = handle.status()
    expected = (theirs.num_complete, theirs.num_incomplete)
    ours.wait_for_status(
        torrent_id,
        f"the numbers {expected}",
        lambda status: (status["num_complete"], status["num_incomplete"]) == expected,
    )


def test_a_udp_tracker_that_refuses(
    ours: Shim, oracle: Oracle, udp: UdpTracker, rng: random.Random, tmp_path: Path
) -> None:
    udp.failure = "not on this list"
    payload = payload_of([udp.url], rng, tmp_path / "seed")
    oracle.add(payload.torrent, payload.save_path)
    # It does not pass on what a UDP tracker says.
    assert "failure message" in oracle.wait_for("tracker_error").message
    torrent_id = ours.call(
        "add_torrent_file", path=str(payload.torrent_path), save_path=str(tmp_path / "save")
    )["torrent_id"]
    alert = ours.wait_for_alert("tracker_error", torrent_id)
    assert (alert["failure_reason"], alert["times_in_row"]) == (udp.failure, 1)


# All trackers are on one machine, where the one by UDP would come first.
IN_ORDER = {"prefer_udp_trackers": False}


def test_the_next_tier_is_asked_when_one_fails(
    shim: Shim, udp: UdpTracker, rng: random.Random, tmp_path: Path
) -> None:
    with Tracker(failure="no") as failing, Tracker() as unneeded, Oracle(IN_ORDER) as oracle:
        payload = payload_of([failing.url, udp.url, unneeded.url], rng, tmp_path / "seed")
        handle = oracle.seed(payload.torrent, payload.save_path)
        wait_until(lambda: udp.announces_of(oracle.port), "libtorrent tries the second tier")
        port = shim.start_session(settings=IN_ORDER)
        torrent_id = shim.call(
            "add_torrent_and_seed", path=str(payload.torrent_path), data_dir=str(payload.save_path)
        )["torrent_id"]
        wait_until(lambda: udp.announces_of(port), "we try the second tier")
        assert not unneeded.announces

        def mine() -> list[tuple[object, ...]]:
            known = shim.call("get_trackers", torrent_id=torrent_id)["trackers"]
            return [(entry["url"], entry["tier"], entry["verified"]) for entry in known]

        def theirs() -> list[tuple[object, ...]]:
            known = handle.trackers()
            return [(entry["url"], entry["tier"], entry["verified"]) for entry in known]

        wait_until(lambda: mine() == theirs(), "our trackers are as libtorrent's")


def test_all_tiers_are_asked_when_the_settings_say_so(
    shim: Shim, rng: random.Random, tmp_path: Path
) -> None:
    with Tracker() as first, Tracker() as second, UdpTracker() as third:
        payload = payload_of([first.url, second.url, third.url], rng, tmp_path / "seed")
        port = shim.start_session(settings=IN_ORDER | {"announce_to_all_tiers": True})
        shim.call(
            "add_torrent_and_seed", path=str(payload.torrent_path), data_dir=str(payload.save_path)
        )
        wait_until(lambda: first.announces_of(port), "the first tier hears of us")
        wait_until(lambda: second.announces_of(port), "the second tier hears of us")
        wait_until(lambda: third.announces_of(port), "the third tier hears of us")


def test_dead_trackers_do_not_delay_the_end(shim: Shim, rng: random.Random, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, Tracker() as alive:
        dead = f"http://127.0.0.1:{silent.getsockname()[1]}/announce"
        payload = payload_of([dead, alive.url], rng, tmp_path / "seed")
        # Enough for the living one, and little beside what the dead one would take.
        settings = {
            "announce_to_all_tiers": True,
            "stop_tracker_timeout": 3,
            "tracker_receive_timeout": 200,
            "tracker_completion_timeout": 200,
        }
        port = shim.start_session(settings=settings)
        shim.call(
            "add_torrent_and_seed", path=str(payload.torrent_path), data_dir=str(payload.save_path)
        )
        wait_until(lambda: alive.announces_of(port), "the living tracker hears of us")
        begun = time.monotonic()
        shim.shut_down()
        assert time.monotonic() - begun < 40
        wait_until(
            lambda: alive.announces_of(port)[-1].event == "stopped",
            "the living tracker hears of the end",
        )
