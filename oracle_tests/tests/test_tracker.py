"""Peers that know each other from a tracker alone, and what trackers are told."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from harness.oracle import Oracle
from harness.payload import KIB, Payload, describe
from harness.rpc import Shim
from harness.tracker import Tracker
from harness.waiting import wait_until


def tracked_payload(tracker: Tracker, rng: random.Random, folder: Path) -> Payload:
    """A payload whose torrent names the tracker."""
    folder.mkdir()
    root = folder / "tracked.bin"
    root.write_bytes(rng.randbytes(2_000_003))
    return describe(root, 64 * KIB, [tracker.url])


def test_we_find_a_libtorrent_seed(
    shim: Shim, oracle: Oracle, tracker: Tracker, rng: random.Random, tmp_path: Path
) -> None:
    payload = tracked_payload(tracker, rng, tmp_path / "seed")
    oracle.seed(payload.torrent, payload.save_path)
    wait_until(lambda: tracker.announces_of(oracle.port), "libtorrent announces")
    # The last word is waited for as long as it takes.
    port = shim.start_session(settings={"stop_tracker_timeout": 60})
    torrent_id = shim.call(
        "add_torrent_file", path=str(payload.torrent_path), save_path=str(tmp_path / "save")
    )["torrent_id"]
    shim.wait_until_seeding(torrent_id)
    shim.call("flush_cache", torrent_id=torrent_id)
    payload.assert_same(tmp_path / "save")
    oracle.assert_no_errors()

    wait_until(
        lambda: any(told.event == "completed" for told in tracker.announces_of(port)),
        "the completed event",
    )
    shim.shut_down()
    # It was sent before the end; the tracker may still have to read it.
    wait_until(
        lambda: any(told.event == "stopped" for told in tracker.announces_of(port)),
        "the stopped event",
    )
    told = tracker.announces_of(port)
    assert [announce.event for announce in told if announce.event] == [
        "started",
        "completed",
        "stopped",
    ]
    assert told[0].left == payload.size
    assert all(announce.left == 0 for announce in told[1:])
    assert {announce.info_hash for announce in told} == {payload.info_hash}
    assert len({announce.peer_id for announce in told}) == 1
    assert all(announce.compact and announce.user_agent for announce in told)


def test_a_libtorrent_leecher_finds_us(
    shim: Shim, oracle: Oracle, tracker: Tracker, rng: random.Random, tmp_path: Path
) -> None:
    payload = tracked_payload(tracker, rng, tmp_path / "seed")
    port = shim.start_session()
    shim.seed(payload)
    wait_until(lambda: tracker.announces_of(port), "we announce")
    leecher = oracle.add(payload.torrent, tmp_path / "save")
    oracle.wait_for("torrent_finished")
    oracle.wait_for_copy(leecher, payload, tmp_path / "save")
    oracle.assert_no_errors()


def test_two_of_ours_find_each_other(
    start_shim: Callable[..., Shim], tracker: Tracker, rng: random.Random, tmp_path: Path
) -> None:
    payload = tracked_payload(tracker, rng, tmp_path / "seed")
    seed, leecher = start_shim(), start_shim()
    port = seed.start_session()
    torrent_id = seed.seed(payload)
    wait_until(lambda: tracker.announces_of(port), "the seed announces")
    leecher.start_session()
    leecher.call(
        "add_torrent_file", path=str(payload.torrent_path), save_path=str(tmp_path / "save")
    )
    leecher.wait_until_seeding(torrent_id)
    leecher.call("flush_cache", torrent_id=torrent_id)
    payload.assert_same(tmp_path / "save")


def test_a_tracker_that_is_added_later_is_used(
    ours: Shim, oracle: Oracle, tracker: Tracker, rng: random.Random, tmp_path: Path
) -> None:
    with_tracker = tracked_payload(tracker, rng, tmp_path / "seed")
    oracle.seed(with_tracker.torrent, with_tracker.save_path)
    wait_until(lambda: tracker.announces_of(oracle.port), "libtorrent announces")
    payload = describe(with_tracker.root, 64 * KIB)
    assert payload.info_hash == with_tracker.info_hash
    torrent_id = ours.call(
        "add_torrent_file", path=str(payload.torrent_path), save_path=str(tmp_path / "save")
    )["torrent_id"]
    assert ours.call("get_trackers", torrent_id=torrent_id)["trackers"] == []
    ours.call("add_tracker", torrent_id=torrent_id, url=tracker.url)
    ours.wait_until_seeding(torrent_id)
    ours.call("flush_cache", torrent_id=torrent_id)
    payload.assert_same(tmp_path / "save")

    trackers = ours.call("get_trackers", torrent_id=torrent_id)["trackers"]
    assert [(known["url"], known["tier"]) for known in trackers] == [(tracker.url, 0)]
    ours.call("remove_tracker", torrent_id=torrent_id, url=tracker.url)
    wait_until(
        lambda: ours.call("get_trackers", torrent_id=torrent_id)["trackers"] == [],
        "the tracker is gone",
    )


def test_a_tracker_that_refuses_shows_as_an_error(
    ours: Shim, tracker: Tracker, rng: random.Random, tmp_path: Path
) -> None:
    tracker.failure = "not on this list"
    payload = tracked_payload(tracker, rng, tmp_path / "seed")
    torrent_id = ours.call(
        "add_torrent_file", path=str(payload.torrent_path), save_path=str(tmp_path / "save")
    )["torrent_id"]
    alert = ours.wait_for_alert("tracker_error", torrent_id)
    assert alert["tracker_url"] == tracker.url
    assert "not on this list" in alert["error"]

    def failed() -> bool:
        (known,) = ours.call("get_trackers", torrent_id=torrent_id)["trackers"]
        return known["fails"] > 0 and "not on this list" in known["last_error"]

    wait_until(failed, "the failure shows in get_trackers")


def test_a_reannounce_is_heard_at_once(
    shim: Shim, tracker: Tracker, rng: random.Random, tmp_path: Path
) -> None:
    payload = tracked_payload(tracker, rng, tmp_path / "seed")
    port = shim.start_session(settings={"min_announce_interval": 1})
    torrent_id = shim.call(
        "add_torrent_and_seed", path=str(payload.torrent_path), data_dir=str(payload.save_path)
    )["torrent_id"]
    wait_until(lambda: tracker.announces_of(port), "the first announce")
    heard = len(tracker.announces_of(port))

    def heard_again() -> bool:
        shim.call("force_reannounce", torrent_id=torrent_id)
        return len(tracker.announces_of(port)) > heard

    wait_until(heard_again, "the second announce")
