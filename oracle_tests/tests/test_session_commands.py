"""Commands to the session as a whole, and those that change what a torrent knows."""

from __future__ import annotations

import base64
import random
from pathlib import Path

import libtorrent as lt
import pytest
from harness.oracle import Oracle
from harness.payload import KIB, Payload, describe, single_file
from harness.rpc import Shim
from harness.tracker import Tracker
from harness.waiting import wait_until

PIECE = 64 * KIB
SEEDING = lt.torrent_status.states.seeding
NO_SESSION = 100


@pytest.fixture
def payload(rng: random.Random, tmp_path: Path) -> Payload:
    return single_file(tmp_path / "seed", rng, PIECE, 30 * PIECE + 11)


def connect(ours: Shim, torrent_id: str, oracle: Oracle) -> None:
    ours.call("connect_peer", torrent_id=torrent_id, ip="127.0.0.1", port=oracle.port)


def assert_fetched(ours: Shim, oracle: Oracle, payload: Payload, save_path: Path) -> None:
    ours.wait_until_seeding(payload.info_hash)
    ours.call("flush_cache", torrent_id=payload.info_hash)
    payload.assert_same(save_path)
    oracle.assert_no_errors()


def test_a_paused_session_rests_and_goes_on(
    ours: Shim, oracle: Oracle, payload: Payload, tmp_path: Path
) -> None:
    oracle.seed(payload.torrent, payload.save_path).set_upload_limit(400_000)
    torrent_id = ours.add(payload, tmp_path / "save")
    connect(ours, torrent_id, oracle)
    ours.wait_for_status(torrent_id, "something", lambda it: it["pieces_downloaded"] > 0)
    ours.call("pause_session")
    ours.wait_for_alert("torrent_paused", torrent_id)
    assert ours.call("get_status")["engine"]["paused"]
    wait_until(lambda: not ours.call("get_peers", torrent_id=torrent_id)["peers"], "no peers")
    ours.call("resume_session")
    ours.wait_for_alert("torrent_resumed", torrent_id)
    assert not ours.call("get_status")["engine"]["paused"]
    connect(ours, torrent_id, oracle)
    assert_fetched(ours, oracle, payload, tmp_path / "save")


def test_sockets_that_are_opened_anew_take_callers(
    ours: Shim, oracle: Oracle, payload: Payload, tmp_path: Path
) -> None:
    ours.seed(payload)
    ours.wait_for_alert("listen_succeeded")
    ours.call("reopen_network_sockets")
    port = ours.wait_for_alert("listen_succeeded")["port"]
    wait_until(
        lambda: ours.call("get_status")["engine"]["listening"] == [f"127.0.0.1:{port}"],
        "the new socket",
    )
    leecher = oracle.add(payload.torrent, tmp_path / "save")
    leecher.connect_peer(("127.0.0.1", port))
    oracle.wait_for_copy(leecher, payload, tmp_path / "save")


@pytest.mark.parametrize("command", ["pause_session", "resume_session", "reopen_network_sockets"])
def test_without_a_session_there_is_nothing_to_command(shim: Shim, command: str) -> None:
    assert shim.refuse(command).code == NO_SESSION


def test_metadata_that_is_supplied_need_not_be_fetched(
    ours: Shim, oracle: Oracle, payload: Payload, tmp_path: Path
) -> None:
    info_dict = lt.bencode(lt.bdecode(payload.torrent)[b"info"])
    uri = f"magnet:?xt=urn:btih:{payload.info_hash}"
    save_path = tmp_path / "save"
    torrent_id = ours.call("add_magnet_uri", uri=uri, save_path=str(save_path))["torrent_id"]
    another = base64.b64encode(info_dict.replace(b"single.bin", b"simple.bin")).decode()
    error = ours.refuse("set_metadata", torrent_id=torrent_id, metadata=another)
    assert "has the hash" in error.message
    assert not ours.status(torrent_id)["has_metadata"]
    metadata = base64.b64encode(info_dict).decode()
    ours.call("set_metadata", torrent_id=torrent_id, metadata=metadata)
    ours.wait_for_alert("metadata_received", torrent_id)
    assert ours.status(torrent_id)["name"] == payload.root.name
    # A second time it changes nothing.
    ours.call("set_metadata", torrent_id=torrent_id, metadata=metadata)
    oracle.seed(payload.torrent, payload.save_path)
    connect(ours, torrent_id, oracle)
    assert_fetched(ours, oracle, payload, save_path)


def test_trackers_are_replaced_as_in_libtorrent(
    ours: Shim, oracle: Oracle, tracker: Tracker, payload: Payload, tmp_path: Path
) -> None:
    dead = ["http://127.0.0.1:9/announce", "http://127.0.0.1:9/announce/other"]
    tracked = describe(payload.root, PIECE, dead)
    torrent_id = ours.add(tracked, tmp_path / "save")
    handle = oracle.seed(tracked.torrent, tracked.save_path)
    tiers = [[tracker.url], [dead[1], "http://127.0.0.1:9/announce/third"]]
    entries = [{"url": url, "tier": tier} for tier, urls in enumerate(tiers) for url in urls]
    ours.call("replace_trackers", torrent_id=torrent_id, trackers=tiers)
    handle.replace_trackers(entries)

    def known() -> list[tuple[str, int]]:
        trackers = ours.call("get_trackers", torrent_id=torrent_id)["trackers"]
        return sorted((known["url"], known["tier"]) for known in trackers)

    theirs = sorted((known["url"], known["tier"]) for known in handle.trackers())
    wait_until(lambda: known() == theirs, "the same trackers as libtorrent's")
    # They meet there.
    ours.wait_until_seeding(torrent_id)
    wrong = ours.refuse("replace_trackers", torrent_id=torrent_id, trackers=["ftp://x/announce"])
    assert "ftp" in wrong.message
    assert known() == theirs
    ours.call("replace_trackers", torrent_id=torrent_id, trackers=[])
    wait_until(lambda: known() == [], "no trackers")
    assert "trackers" in ours.refuse("replace_trackers", torrent_id=torrent_id).message


def test_what_is_not_saved_yet_is_said_as_libtorrent_does(
    ours: Shim, oracle: Oracle, payload: Payload
) -> None:
    torrent_id = ours.seed(payload)
    handle = oracle.seed(payload.torrent, payload.save_path)
    oracle.wait_for_state(handle, SEEDING)

    def needed() -> bool:
        answer = ours.call("need_save_resume_data", torrent_id=torrent_id)
        return answer["need_save_resume_data"]

    assert needed()
    assert handle.need_save_resume_data()
    ours.call("save_resume_data", torrent_id=torrent_id)
    handle.save_resume_data()
    oracle.wait_for("save_resume_data")
    assert not needed()
    assert not handle.need_save_resume_data()
    ours.call("set_torrent_options", torrent_id=torrent_id, max_uploads=7)
    handle.set_max_uploads(7)
    assert needed()
    assert handle.need_save_resume_data()
