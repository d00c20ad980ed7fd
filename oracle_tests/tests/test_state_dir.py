"""The state directory: what a session keeps by itself outlives its death at any moment."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import libtorrent as lt
import pytest
from harness.faults import CAN_FAIL, disturbed
from harness.oracle import Oracle
from harness.payload import KIB, Payload, single_file
from harness.rpc import RpcError, Shim, shim_command
from harness.waiting import wait_until

# How often the process is killed; more for a night.
ROUNDS = int(os.environ.get("GODOT_TORRENT_KILL_ROUNDS", "8"))

# Verified work that may be lost, in seconds of the download; generous for a busy machine.
LOST_SECONDS = 6.0

BYTES_PER_SECOND = 1_500_000


def start(start_shim: Callable[..., Shim], state_dir: Path) -> Shim:
    shim = start_shim()
    shim.start_session(state_dir=str(state_dir))
    return shim


def record_path(state_dir: Path, payload: Payload) -> Path:
    return state_dir / "torrents" / f"{payload.info_hash}.resume"


def claimed(state_dir: Path, payload: Payload) -> set[int]:
    """The pieces that the newest record claims, read by libtorrent."""
    path = record_path(state_dir, payload)
    for candidate in (path, path.with_name(path.name + ".old")):
        if candidate.exists():
            # Whole, whenever the process died.
            params = lt.read_resume_data(candidate.read_bytes())
            return {piece for piece, have in enumerate(params.have_pieces) if have}
    return set()


def right_pieces(payload: Payload, path: Path) -> set[int]:
    """The pieces of a file that match their hashes, by a hasher of our own."""
    content = path.read_bytes() if path.exists() else b""
    hashes = lt.bdecode(payload.torrent)[b"info"][b"pieces"]
    right = set()
    for piece in range(len(hashes) // 20):
        part = content[piece * payload.piece_size : (piece + 1) * payload.piece_size]
        if hashlib.sha1(part).digest() == hashes[piece * 20 : piece * 20 + 20]:
            right.add(piece)
    return right


@pytest.mark.skipif(os.name == "nt", reason="kills with a signal")
def test_killed_at_any_moment(
    start_shim: Callable[..., Shim], oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    payload = single_file(tmp_path / "seed", rng, 32 * KIB, 12_000_017)
    seed = oracle.seed(payload.torrent, payload.save_path)
    seed.set_upload_limit(BYTES_PER_SECOND)
    state_dir, save_path = tmp_path / "state", tmp_path / "save"
    file = save_path / "single.bin"
    torrent = payload.info_hash
    before = 0
    for round_ in range(ROUNDS):
        shim = start(start_shim, state_dir)
        if round_ == 0:
            shim.call("add_torrent_file", path=str(payload.torrent_path), save_path=str(save_path))
            # It is remembered from now on.
            wait_until(lambda: (state_dir / "torrents" / f"{torrent}.added").exists(), "it is kept")
        assert shim.call("list_torrents")["torrents"] == [torrent]
        status = shim.wait_for_status(
            torrent, "checked", lambda status: status["state"] in (3, 4, 5)
        )
        lost = before - status["pieces_downloaded"]
        allowed = LOST_SECONDS * BYTES_PER_SECOND / payload.piece_size
        assert lost <= allowed, f"round {round_}: {lost} pieces lost"
        shim.call("connect_peer", torrent_id=torrent, ip="127.0.0.1", port=oracle.port)
        time.sleep(rng.uniform(0, 1.5))
        before = shim.status(torrent)["pieces_downloaded"]
        shim.process.kill()
        shim.process.wait()
        assert claimed(state_dir, payload) <= right_pieces(payload, file)
    seed.set_upload_limit(-1)
    shim = start(start_shim, state_dir)
    shim.wait_for_status(torrent, "checked", lambda status: status["state"] in (3, 4, 5))
    shim.call("connect_peer", torrent_id=torrent, ip="127.0.0.1", port=oracle.port)
    shim.wait_until_seeding(torrent)
    shim.shut_down()
    payload.assert_same(save_path)
    assert len(claimed(state_dir, payload)) == len(right_pieces(payload, file))


@pytest.mark.skipif(os.name == "nt", reason="kills with a signal")
def test_killed_while_it_saves(
    start_shim: Callable[..., Shim], rng: random.Random, tmp_path: Path
) -> None:
    payload = single_file(tmp_path / "data", rng, 16 * KIB, 500_000)
    state_dir = tmp_path / "state"
    shim = start(start_shim, state_dir)
    shim.seed(payload)
    shim.shut_down()
    whole = claimed(state_dir, payload)
    for limit in range(ROUNDS):
        shim = start(start_shim, state_dir)
        shim.wait_until_seeding(payload.info_hash)
        shim.call("set_torrent_options", torrent_id=payload.info_hash, max_uploads=limit + 2)
        save = {"cmd": "save_resume_data", "params": {"torrent_id": payload.info_hash}}
        for _ in range(20):
            shim.send_line(json.dumps(save))
        time.sleep(rng.uniform(0, 0.05))
        shim.process.kill()
        shim.process.wait()
        assert claimed(state_dir, payload) == whole


def test_two_engines_on_one_folder(start_shim: Callable[..., Shim], tmp_path: Path) -> None:
    first = start(start_shim, tmp_path / "state")
    second = start_shim()
    with pytest.raises(RpcError) as refused:
        second.start_session(state_dir=str(tmp_path / "state"))
    assert "another session" in refused.value.message
    first.shut_down()
    second.start_session(state_dir=str(tmp_path / "state"))


def test_paused_ones_come_back_paused_and_removed_ones_do_not(
    start_shim: Callable[..., Shim], rng: random.Random, tmp_path: Path
) -> None:
    one = single_file(tmp_path / "one", rng, 16 * KIB, 100_000)
    two = single_file(tmp_path / "two", rng, 16 * KIB, 100_000)
    state_dir = tmp_path / "state"
    shim = start(start_shim, state_dir)
    for payload in (one, two):
        shim.seed(payload)
    shim.call("pause_torrent", torrent_id=one.info_hash)
    shim.call("apply_settings", settings={"connections_limit": 66})
    shim.call("remove_torrent", torrent_id=two.info_hash)
    shim.wait_for_alert("torrent_removed")
    shim.shut_down()
    again = start(start_shim, state_dir)
    assert again.call("list_torrents")["torrents"] == [one.info_hash]
    status = again.wait_until_seeding(one.info_hash)
    assert status["paused"]
    assert again.call("get_settings")["settings"]["connections_limit"] == 66


@pytest.mark.not_on_windows("the calls are those of Linux")
@pytest.mark.skipif(shutil.which("strace") is None, reason="makes a system call fail")
def test_what_the_device_does_not_take_is_not_saved(
    start_shim: Callable[..., Shim], oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    payload = single_file(tmp_path / "seed", rng, 32 * KIB, 1_000_000)
    oracle.seed(payload.torrent, payload.save_path)
    fails_once = disturbed(shim_command(), "fdatasync", "error=EIO:when=1")
    shim = start_shim(command=fails_once)
    shim.start_session()
    save_path = tmp_path / "save"
    shim.call("add_torrent_file", path=str(payload.torrent_path), save_path=str(save_path))
    shim.call("connect_peer", torrent_id=payload.info_hash, ip="127.0.0.1", port=oracle.port)
    shim.wait_until_seeding(payload.info_hash)
    with pytest.raises(RpcError) as refused:
        shim.call("save_resume_data", torrent_id=payload.info_hash)
    assert "error" in refused.value.message
    shim.wait_for_alert("save_resume_data_failed", payload.info_hash)
    assert shim.status(payload.info_hash)["error"]
    shim.wait_for_alert("torrent_checked", payload.info_hash)
    shim.clear_error(payload.info_hash)
    # Everything is looked at again, and is there after all.
    shim.wait_for_alert("torrent_checked", payload.info_hash)
    shim.wait_until_seeding(payload.info_hash)

    def saved() -> dict[str, Any] | None:
        try:
            return shim.call("save_resume_data", torrent_id=payload.info_hash)
        except RpcError:
            # strace counts for each thread: this one had not failed yet.
            shim.clear_error(payload.info_hash)
            shim.wait_until_seeding(payload.info_hash)
            return None

    answer = wait_until(saved, "the device takes it")
    params = lt.read_resume_data(base64.b64decode(answer["resume_data"]))
    assert sum(params.have_pieces) >= len(right_pieces(payload, save_path / "single.bin"))
    shim.shut_down()


@pytest.mark.not_on_windows("the calls are those of Linux")
@pytest.mark.skipif(shutil.which("strace") is None, reason="makes a system call slow")
def test_a_pause_does_not_wait_for_a_slow_device(
    start_shim: Callable[..., Shim], oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    payload = single_file(tmp_path / "seed", rng, 32 * KIB, 1_000_000)
    oracle.seed(payload.torrent, payload.save_path)
    state_dir = tmp_path / "state"
    # Files are synced by fdatasync, the state directory is by fsync.
    slow = disturbed(shim_command(), "fdatasync", "delay_enter=60s")
    shim = start_shim(command=slow)
    shim.start_session(state_dir=str(state_dir))
    torrent = payload.info_hash
    save_path = tmp_path / "save"
    shim.call("add_torrent_file", path=str(payload.torrent_path), save_path=str(save_path))
    shim.call("connect_peer", torrent_id=torrent, ip="127.0.0.1", port=oracle.port)
    shim.wait_until_seeding(torrent)
    shim.call("pause_torrent", torrent_id=torrent)

    def is_paused() -> bool:
        path = record_path(state_dir, payload)
        if not path.exists():
            return False
        return bool(lt.read_resume_data(path.read_bytes()).flags & lt.torrent_flags.paused)

    began = time.monotonic()
    wait_until(is_paused, "the pause is saved")
    # Two seconds are the goal; the device takes sixty.
    assert time.monotonic() - began < 20
    assert claimed(state_dir, payload) == set(), "nothing is claimed that is not synced"
    os.killpg(shim.process.pid, signal.SIGKILL)
    shim.process.wait()
    again = start(start_shim, state_dir)
    assert again.wait_for_status(torrent, "checked", lambda status: status["state"] in (3, 4, 5))[
        "paused"
    ]


@pytest.mark.skipif(not CAN_FAIL, reason="mounts a file system")
def test_a_full_state_directory_costs_nothing_once_there_is_room(
    start_shim: Callable[..., Shim], oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    payload = single_file(tmp_path / "seed", rng, 32 * KIB, 1_000_000)
    oracle.seed(payload.torrent, payload.save_path)
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    subprocess.run(mount, check=True)
    try:
        state_dir, save_path = disk / "state", tmp_path / "save"
        shim = start(start_shim, state_dir)
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(b"\0" * 4096):
                pass
        torrent = payload.info_hash
        shim.call("add_torrent_file", path=str(payload.torrent_path), save_path=str(save_path))
        shim.wait_for_alert("file_error", torrent)
        shim.call("connect_peer", torrent_id=torrent, ip="127.0.0.1", port=oracle.port)
        shim.wait_until_seeding(torrent)
        assert claimed(state_dir, payload) == set()
        filler.unlink()
        pieces = right_pieces(payload, save_path / "single.bin")
        wait_until(lambda: claimed(state_dir, payload) == pieces, "all of it is saved")
        shim.process.kill()
        shim.process.wait()
        again = start(start_shim, state_dir)
        assert again.call("list_torrents")["torrents"] == [torrent]
        again.wait_until_seeding(torrent)
        again.shut_down()
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
