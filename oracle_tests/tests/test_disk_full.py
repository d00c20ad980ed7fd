"""A disk that is full: the torrent says so, keeps and serves what it has, and goes on when
there is room. On a file system of a few MiB, which takes root and Linux."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.oracle import Oracle
from harness.payload import KIB, single_file, tree
from harness.rpc import Shim
from harness.waiting import wait_until

MIB = 1024 * KIB


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    assert mounted.returncode == 0, f"this test needs to mount a tmpfs: {mounted.stderr}"
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remount(folder: Path, option: str) -> None:
    """Changes the file system."""
    subprocess.run(["mount", "-o", f"remount,{option}", str(folder)], check=True)


def test_room_runs_out_and_comes_back(
    shim: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path, small_disk: Path
) -> None:
    payload = single_file(tmp_path / "seed", rng, 64 * KIB, 4 * MIB)
    port = shim.start_session(settings={"allow_multiple_connections_per_ip": True})
    oracle.seed(payload.torrent, payload.save_path)
    torrent_id = shim.call(
        "add_torrent_file", path=str(payload.torrent_path), save_path=str(small_disk / "save")
    )["torrent_id"]
    shim.call("connect_peer", torrent_id=torrent_id, ip="127.0.0.1", port=oracle.port)
    status = shim.wait_for_status(torrent_id, "an error", lambda status: status["error"])
    assert "space" in status["error"].lower()
    assert not status["is_finished"]
    assert status["is_upload_mode"]
    # What is there is right, and is served.
    with Oracle() as other:
        leecher = other.add(payload.torrent, tmp_path / "other")
        leecher.connect_peer(("127.0.0.1", port))
        other.wait_for("piece_finished")
        other.assert_no_errors()
    have = shim.status(torrent_id)["pieces_downloaded"]
    assert have > 0
    remount(small_disk, "size=8m")
    shim.clear_error(torrent_id)
    shim.call("connect_peer", torrent_id=torrent_id, ip="127.0.0.1", port=oracle.port)
    status = shim.wait_until_seeding(torrent_id)
    assert not status["error"]
    shim.call("flush_cache", torrent_id=torrent_id)
    assert tree(small_disk / "save" / "single.bin") == tree(payload.root)


def test_it_tries_again_by_itself(
    shim: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path, small_disk: Path
) -> None:
    payload = single_file(tmp_path / "seed", rng, 64 * KIB, 2 * MIB)
    shim.start_session(settings={"optimistic_disk_retry": 1})
    oracle.seed(payload.torrent, payload.save_path)
    torrent_id = shim.call(
        "add_torrent_file", path=str(payload.torrent_path), save_path=str(small_disk / "save")
    )["torrent_id"]
    shim.call("connect_peer", torrent_id=torrent_id, ip="127.0.0.1", port=oracle.port)
    # The status may have forgotten it again: it tries each second.
    shim.wait_for_alert("file_error", torrent_id)
    remount(small_disk, "size=8m")
    wait_until(lambda: shim.status(torrent_id)["is_seeding"], "it goes on by itself")
    shim.call("flush_cache", torrent_id=torrent_id)
    assert tree(small_disk / "save" / "single.bin") == tree(payload.root)


def test_a_read_only_disk_and_a_move_to_a_full_one(
    shim: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path, small_disk: Path
) -> None:
    payload = single_file(tmp_path / "seed", rng, 64 * KIB, 2 * MIB)
    shim.start_session()
    oracle.seed(payload.torrent, payload.save_path)
    torrent_id = shim.call(
        "add_torrent_file", path=str(payload.torrent_path), save_path=str(tmp_path / "save")
    )["torrent_id"]
    shim.call("connect_peer", torrent_id=torrent_id, ip="127.0.0.1", port=oracle.port)
    shim.wait_until_seeding(torrent_id)
    # Between two file systems, of which one is too small: all stays where it is.
    error = shim.refuse("move_storage", torrent_id=torrent_id, path=str(small_disk / "to"))
    assert error.code == 404
    assert not tree(small_disk)
    payload.assert_same(tmp_path / "save")
    assert shim.status(torrent_id)["save_path"] == str(tmp_path / "save")
    remount(small_disk, "size=8m")
    shim.call("move_storage", torrent_id=torrent_id, path=str(small_disk / "to"))
    payload.assert_same(small_disk / "to")
    assert not tree(tmp_path / "save")
    remount(small_disk, "ro")
    error = shim.refuse("rename_file", torrent_id=torrent_id, index=0, name="other")
    assert error.code == 405
    assert "read-only" in str(error).lower()
    remount(small_disk, "rw")
    shim.call("rename_file", torrent_id=torrent_id, index=0, name="other")
    assert (small_disk / "to" / "other").exists()
