"""Checks that are given up: nothing is claimed that was not looked at, nothing is lost."""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path

import libtorrent as lt
from harness.oracle import Oracle
from harness.payload import KIB, describe, single_file
from harness.rpc import Shim

PIECE = 64 * KIB
MIB = 1024 * KIB
SEEDING = lt.torrent_status.states.seeding
CHECKING = (1, 7)
DOWNLOADING = 3


def record_of(ours: Shim, torrent_id: str) -> bytes:
    answer = ours.call("save_resume_data", torrent_id=torrent_id)
    return base64.b64decode(answer["resume_data"])


def test_a_first_check_in_the_middle(ours: Shim, oracle: Oracle, tmp_path: Path) -> None:
    root = tmp_path / "data" / "large.bin"
    root.parent.mkdir()
    with root.open("wb") as file:
        file.truncate(256 * MIB)
    payload = describe(root, MIB)
    torrent_id = payload.info_hash
    add = {"path": str(payload.torrent_path), "save_path": str(payload.save_path)}
    lines = [
        json.dumps({"cmd": command, "params": params})
        for command, params in [
            ("add_torrent_file", add),
            ("cancel_check", {"torrent_id": torrent_id}),
        ]
    ]
    # Both at once, so that the check cannot be over in between.
    ours.send_line("\n".join(lines))
    assert [ours.receive()["ok"] for _ in range(2)] == [True, True]
    ours.wait_for_alert("torrent_checked", torrent_id)
    status = ours.status(torrent_id)
    assert (status["state"], status["pieces_downloaded"]) == (DOWNLOADING, 0)
    assert status["paused"]
    assert root.stat().st_size == 256 * MIB

    # The record claims nothing: libtorrent too has to look, and finds everything.
    params = lt.read_resume_data(record_of(ours, torrent_id))
    assert list(params.have_pieces) == []
    params.ti = lt.load_torrent_buffer(payload.torrent).ti
    params.flags &= ~(lt.torrent_flags.paused | lt.torrent_flags.auto_managed)
    handle = oracle.session.add_torrent(params)
    oracle.wait_for_state(handle, SEEDING)

    ours.call("force_recheck", torrent_id=torrent_id)
    ours.wait_until_seeding(torrent_id)
    assert list(lt.read_resume_data(record_of(ours, torrent_id)).have_pieces) == [True] * 256


def test_a_recheck_that_waits_for_its_turn(
    ours: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    payload = single_file(tmp_path / "data", rng, PIECE, 20 * PIECE + 5)
    torrent_id = ours.seed(payload)
    ours.wait_for_alert("torrent_checked", torrent_id)
    ours.call("apply_settings", settings={"active_checking": 0})
    ours.call("set_torrent_options", torrent_id=torrent_id, auto_managed=True)
    ours.call("force_recheck", torrent_id=torrent_id)
    ours.wait_for_status(torrent_id, "checking", lambda status: status["state"] in CHECKING)
    ours.call("cancel_check", torrent_id=torrent_id)
    ours.wait_for_alert("torrent_checked", torrent_id)
    ours.wait_until_seeding(torrent_id)
    # It goes on where it was.
    leecher = oracle.add(payload.torrent, tmp_path / "save")
    leecher.connect_peer(("127.0.0.1", ours.port))
    oracle.wait_for_copy(leecher, payload, tmp_path / "save")
    oracle.assert_no_errors()
