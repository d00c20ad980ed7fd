"""Downloads that end half-way: what is verified stays, and the rest follows later."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.oracle import Oracle
from harness.payload import KIB, single_file
from harness.rpc import Shim

# The pieces of a seed that has not got everything: a download from it does not end.
PART = 60


def shut_down(shim: Shim) -> None:
    shim.shut_down()


def end_of_input(shim: Shim) -> None:
    shim.close_input()
    shim.expect_exit()


def sigterm(shim: Shim) -> None:
    shim.terminate()
    shim.expect_exit()


def sigkill(shim: Shim) -> None:
    shim.process.kill()
    shim.process.wait()


ENDS = [shut_down, end_of_input, *([] if os.name == "nt" else [sigterm]), sigkill]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_a_new_session_goes_on_with_what_is_there(
    start_shim: Callable[..., Shim],
    oracle: Oracle,
    rng: random.Random,
    tmp_path: Path,
    end: Callable[[Shim], None],
) -> None:
    payload = single_file(tmp_path / "seed", rng, 32 * KIB, 3_000_017)
    oracle.seed(payload.torrent, payload.save_path)
    save_path = tmp_path / "save"

    def start() -> Shim:
        shim = start_shim()
        shim.start_session()
        shim.call("add_torrent_file", path=str(payload.torrent_path), save_path=str(save_path))
        return shim

    first = start()
    with Oracle() as some:
        # As a rule it is still busy when it is interrupted.
        some.seed_part(payload, tmp_path / "part", PART).set_upload_limit(600_000)
        first.call("connect_peer", torrent_id=payload.info_hash, ip="127.0.0.1", port=some.port)
        before = first.wait_for_status(
            payload.info_hash, "half-way", lambda status: status["pieces_downloaded"] > 20
        )
        assert not before["is_finished"]
        # What is verified survives even a kill, once it is flushed.
        first.call("flush_cache", torrent_id=payload.info_hash)
        end(first)

    second = start()
    second.wait_for_alert("torrent_checked", payload.info_hash)
    after = second.wait_for_status(
        payload.info_hash, "checked", lambda status: status["state"] in (3, 5)
    )
    assert after["pieces_downloaded"] >= before["pieces_downloaded"]
    second.call("connect_peer", torrent_id=payload.info_hash, ip="127.0.0.1", port=oracle.port)
    second.wait_until_seeding(payload.info_hash)
    second.call("flush_cache", torrent_id=payload.info_hash)
    payload.assert_same(save_path)
    oracle.assert_no_errors()


def test_removing_a_torrent_half_way_leaves_the_session_alone(
    ours: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    gone = single_file(tmp_path / "gone", rng, 32 * KIB, 3_000_017)
    kept = single_file(tmp_path / "kept", rng, 32 * KIB, 1_000_003)
    some = oracle.seed_part(gone, tmp_path / "part", PART)
    some.set_upload_limit(600_000)
    oracle.seed(kept.torrent, kept.save_path)
    for payload in (gone, kept):
        ours.call(
            "add_torrent_file",
            path=str(payload.torrent_path),
            save_path=str(tmp_path / f"save {payload.save_path.name}"),
        )
    ours.call("connect_peer", torrent_id=gone.info_hash, ip="127.0.0.1", port=oracle.port)
    ours.wait_for_status(gone.info_hash, "half-way", lambda it: it["pieces_downloaded"] > 0)
    ours.call("remove_torrent", torrent_id=gone.info_hash, delete_files=True)
    ours.wait_for_alert("torrent_removed", gone.info_hash)
    assert list((tmp_path / "save gone").iterdir()) == []

    ours.call("connect_peer", torrent_id=kept.info_hash, ip="127.0.0.1", port=oracle.port)
    ours.wait_until_seeding(kept.info_hash)
    ours.call("flush_cache", torrent_id=kept.info_hash)
    kept.assert_same(tmp_path / "save kept")
    ours.shut_down()


def test_a_pause_stops_the_traffic(
    ours: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    payload = single_file(tmp_path / "seed", rng, 32 * KIB, 3_000_017)
    seed = oracle.seed(payload.torrent, payload.save_path)
    # So slow that it takes most of a minute.
    seed.set_upload_limit(60_000)
    torrent_id = ours.call(
        "add_torrent_file", path=str(payload.torrent_path), save_path=str(tmp_path / "save")
    )["torrent_id"]
    ours.call("connect_peer", torrent_id=torrent_id, ip="127.0.0.1", port=oracle.port)
    ours.wait_for_status(torrent_id, "half-way", lambda status: status["total_done"] > 0)
    ours.call("pause_torrent", torrent_id=torrent_id)
    ours.wait_for_alert("torrent_paused", torrent_id)
    status = ours.wait_for_status(
        torrent_id, "nobody is connected", lambda status: status["num_connections"] == 0
    )
    assert status["paused"]
    oracle.wait_for("peer_disconnected")
    assert ours.status(torrent_id)["total_done"] < payload.size

    seed.set_upload_limit(-1)
    ours.call("resume_torrent", torrent_id=torrent_id)
    ours.wait_for_alert("torrent_resumed", torrent_id)
    ours.call("connect_peer", torrent_id=torrent_id, ip="127.0.0.1", port=oracle.port)
    ours.wait_until_seeding(torrent_id)
    ours.call("flush_cache", torrent_id=torrent_id)
    payload.assert_same(tmp_path / "save")
    oracle.assert_no_errors()
