"""Disks that fail: the error is named, on that torrent alone; what is verified is kept and
served, and the download goes on when the cause is gone."""

from __future__ import annotations

import contextlib
import hashlib
import random
import resource
import subprocess
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import libtorrent as lt
import pytest
from harness.faults import CAN_FAIL, READS, WRITES, failing
from harness.oracle import Oracle
from harness.payload import KIB, Payload, many_files, single_file
from harness.rpc import Shim, powerless, shim_command
from harness.waiting import wait_until

PIECE = 64 * KIB
# How many pieces of a download are there before its disk fails.
PART = 10
SETTINGS = {"allow_multiple_connections_per_ip": True, "status_update_interval": 20}

needs_strace = pytest.mark.skipif(not CAN_FAIL, reason="makes system calls fail")


def add(shim: Shim, payload: Payload, save_path: Path, port: int) -> None:
    shim.call("add_torrent_file", path=str(payload.torrent_path), save_path=str(save_path))
    connect(shim, payload, port)


def fetch_a_part(shim: Shim, payload: Payload, save_path: Path, folder: Path) -> None:
    """Adds the torrent, and downloads what somebody has who does not have more."""
    with Oracle() as some:
        some.seed_part(payload, folder, PART)
        add(shim, payload, save_path, some.port)
        shim.wait_for_status(
            payload.info_hash, "a part", lambda it: it["pieces_downloaded"] == PART
        )


def connect(shim: Shim, payload: Payload, port: int) -> None:
    shim.call("connect_peer", torrent_id=payload.info_hash, ip="127.0.0.1", port=port)


def claimed(shim: Shim, payload: Payload) -> set[int]:
    """The pieces that we say we have."""
    bits = b64decode(shim.status(payload.info_hash)["pieces"])
    return {at for at in range(len(bits) * 8) if bits[at // 8] & (0x80 >> at % 8)}


def right(payload: Payload, path: Path) -> set[int]:
    """The pieces of a single file that are right, by a hasher of our own."""
    content = path.read_bytes() if path.exists() else b""
    hashes = lt.bdecode(payload.torrent)[b"info"][b"pieces"]
    size = payload.piece_size
    parts = [content[at : at + size] for at in range(0, len(hashes) // 20 * size, size)]
    digests = [hashlib.sha1(part).digest() for part in parts]
    return {at for at, it in enumerate(digests) if it == hashes[at * 20 : at * 20 + 20]}


def wait_for_error(shim: Shim, payload: Payload, path: Path, words: str) -> dict[str, Any]:
    """Waits until the torrent names an error about `path`, in these words."""

    def look() -> dict[str, Any] | None:
        status = shim.status(payload.info_hash)
        return status if status["error"] else None

    status = wait_until(look, "the status names an error")
    assert words in status["error"].lower(), status["error"]
    assert status["error_file"] == str(path)
    alert = shim.wait_for_alert("file_error", payload.info_hash)
    assert words in alert["error"].lower(), alert
    return status


def be_quiet(shim: Shim, payload: Payload) -> None:
    """Waits until a torrent that has no more business has no file in use. A tracer that leaves
    in the middle of a call that it makes fail lets it fail with ENOSYS instead."""
    wait_until(
        lambda: not shim.call("get_peers", torrent_id=payload.info_hash)["peers"], "no peers"
    )
    shim.call("flush_cache", torrent_id=payload.info_hash)


def assert_serves(shim: Shim, payload: Payload, folder: Path, count: int) -> None:
    """A leecher of libtorrent's gets so many pieces of us."""
    with Oracle() as other:
        leecher = other.add(payload.torrent, folder)
        leecher.connect_peer(("127.0.0.1", shim.port))
        wait_until(lambda: leecher.status().num_pieces >= count, f"{count} pieces are served")
        other.assert_no_errors()


def other_torrent(shim: Shim, rng: random.Random, folder: Path, oracle: Oracle) -> None:
    """Another torrent of the session downloads as if nothing were wrong."""
    payload = single_file(folder / "other data", rng, PIECE, 20 * PIECE)
    oracle.seed(payload.torrent, payload.save_path)
    add(shim, payload, folder / "other", oracle.port)
    shim.wait_until_seeding(payload.info_hash)
    shim.call("flush_cache", torrent_id=payload.info_hash)
    payload.assert_same(folder / "other")


def goes_on(shim: Shim, payload: Payload, save_path: Path, oracle: Oracle, had: int) -> None:
    """Nothing that was verified is lost, and the rest is fetched."""
    shim.clear_error(payload.info_hash)
    assert shim.status(payload.info_hash)["pieces_downloaded"] >= had
    connect(shim, payload, oracle.port)
    status = shim.wait_until_seeding(payload.info_hash)
    assert not status["is_upload_mode"]
    assert status["total_failed_bytes"] == 0
    shim.call("flush_cache", torrent_id=payload.info_hash)
    payload.assert_same(save_path)
    oracle.assert_no_errors()


@needs_strace
@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("EIO", "input/output error"),
        ("EFBIG", "file too large"),
        ("ENOSPC", "no space"),
        ("EDQUOT", "quota"),
        ("EROFS", "read-only"),
        ("EACCES", "permission denied"),
        ("EPERM", "not permitted"),
        ("ENXIO", "no such device"),
    ],
)
def test_writing_fails(
    shim: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path, error: str, words: str
) -> None:
    payload = single_file(tmp_path / "data", rng, PIECE, 40 * PIECE + 77)
    oracle.seed(payload.torrent, payload.save_path)
    shim.start_session(settings=SETTINGS)
    save_path = tmp_path / "save"
    file = save_path / payload.root.name
    fetch_a_part(shim, payload, save_path, tmp_path / "part")
    with failing(shim.process.pid, WRITES, error, file):
        connect(shim, payload, oracle.port)
        status = wait_for_error(shim, payload, file, words)
        assert not status["is_finished"]
        assert status["is_upload_mode"]
        shim.call("flush_cache", torrent_id=payload.info_hash)
        have = claimed(shim, payload)
        assert len(have) == PART
        assert have <= right(payload, file)
        assert_serves(shim, payload, tmp_path / "leecher", len(have))
        other_torrent(shim, rng, tmp_path, oracle)
    goes_on(shim, payload, save_path, oracle, len(have))


@needs_strace
def test_writing_without_memory_is_tried_again_and_no_error(
    shim: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    payload = single_file(tmp_path / "data", rng, PIECE, 40 * PIECE + 77)
    oracle.seed(payload.torrent, payload.save_path)
    shim.start_session(settings=SETTINGS)
    save_path = tmp_path / "save"
    file = save_path / payload.root.name
    fetch_a_part(shim, payload, save_path, tmp_path / "part")
    with failing(shim.process.pid, WRITES, "ENOMEM", file):
        connect(shim, payload, oracle.port)
        assert "memory" in shim.wait_for_alert("file_error", payload.info_hash)["error"]
        status = shim.status(payload.info_hash)
        assert (status["error"], status["is_finished"]) == ("", False)
        assert claimed(shim, payload) <= right(payload, file)
        shim.call("pause_torrent", torrent_id=payload.info_hash)
        be_quiet(shim, payload)
    shim.call("resume_torrent", torrent_id=payload.info_hash)
    connect(shim, payload, oracle.port)
    shim.wait_until_seeding(payload.info_hash)
    shim.call("flush_cache", torrent_id=payload.info_hash)
    payload.assert_same(save_path)
    oracle.assert_no_errors()


@needs_strace
def test_reading_fails_under_a_seed(
    shim: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    payload = single_file(tmp_path / "data", rng, PIECE, 40 * PIECE + 77)
    shim.start_session(settings=SETTINGS)
    shim.seed(payload)
    leecher = oracle.add(payload.torrent, tmp_path / "save")
    with failing(shim.process.pid, READS, "EIO", payload.root):
        leecher.connect_peer(("127.0.0.1", shim.port))
        wait_for_error(shim, payload, payload.root, "input/output error")
        assert leecher.status().num_pieces == 0
        # Somebody else has it all the same.
        with Oracle() as seed:
            seed.seed(payload.torrent, payload.save_path)
            other_torrent(shim, rng, tmp_path, seed)
    # The file was fine: all of it is found again.
    shim.clear_error(payload.info_hash)
    shim.call("force_recheck", torrent_id=payload.info_hash)
    shim.wait_until_seeding(payload.info_hash)
    leecher.connect_peer(("127.0.0.1", shim.port))
    oracle.wait_for_copy(leecher, payload, tmp_path / "save")
    oracle.assert_no_errors()


@needs_strace
def test_a_seed_without_memory_refuses_and_loses_nothing(
    shim: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    payload = single_file(tmp_path / "data", rng, PIECE, 40 * PIECE + 77)
    shim.start_session(settings=SETTINGS)
    shim.seed(payload)
    leecher = oracle.add(payload.torrent, tmp_path / "save")
    with failing(shim.process.pid, READS, "ENOMEM", payload.root):
        leecher.connect_peer(("127.0.0.1", shim.port))
        alert = shim.wait_for_alert("file_error", payload.info_hash)
        assert "memory" in alert["error"]
        status = shim.status(payload.info_hash)
        assert (status["error"], status["is_seeding"]) == ("", True)
        assert leecher.status().num_pieces == 0
        leecher.pause()
        be_quiet(shim, payload)
    leecher.resume()
    leecher.connect_peer(("127.0.0.1", shim.port))
    oracle.wait_for_copy(leecher, payload, tmp_path / "save")
    oracle.assert_no_errors()


@needs_strace
def test_a_seed_of_an_earlier_session_without_memory_keeps_its_record(
    start_shim: Callable[..., Shim], oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    payload = single_file(tmp_path / "data", rng, PIECE, 40 * PIECE + 77)
    first = start_shim()
    first.start_session(settings=SETTINGS)
    first.seed(payload)
    record = first.call("save_resume_data", torrent_id=payload.info_hash)["resume_data"]
    first.shut_down()
    shim = start_shim()
    shim.start_session(settings=SETTINGS)
    shim.call("add_torrent_file", path=str(payload.torrent_path), resume_data=record)
    shim.wait_until_seeding(payload.info_hash)
    leecher = oracle.add(payload.torrent, tmp_path / "save")
    # No piece is hashed before it is asked for: that fails now.
    with failing(shim.process.pid, READS, "ENOMEM", payload.root):
        leecher.connect_peer(("127.0.0.1", shim.port))
        alert = shim.wait_for_alert("file_error", payload.info_hash)
        assert "memory" in alert["error"]
        status = shim.status(payload.info_hash)
        assert (status["error"], status["is_seeding"]) == ("", True)
        leecher.pause()
        be_quiet(shim, payload)
    leecher.resume()
    leecher.connect_peer(("127.0.0.1", shim.port))
    oracle.wait_for_copy(leecher, payload, tmp_path / "save")
    told = {alert["type_name"] for alert in shim.call("get_alerts")["alerts"]}
    assert not told & {"hash_failed", "fastresume_rejected", "torrent_error"}
    oracle.assert_no_errors()


@needs_strace
def test_checking_fails(shim: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path) -> None:
    payload = single_file(tmp_path / "data", rng, PIECE, 40 * PIECE + 77)
    save_path = tmp_path / "save"
    save_path.mkdir()
    file = save_path / payload.root.name
    file.write_bytes(payload.root.read_bytes()[: 10 * PIECE])
    shim.start_session(settings=SETTINGS)
    oracle.seed(payload.torrent, payload.save_path)
    with failing(shim.process.pid, READS, "EIO", file):
        shim.call("add_torrent_file", path=str(payload.torrent_path), save_path=str(save_path))
        status = wait_for_error(shim, payload, file, "input/output error")
        assert status["pieces_downloaded"] == 0
        other_torrent(shim, rng, tmp_path, oracle)
    shim.clear_error(payload.info_hash)
    shim.call("force_recheck", torrent_id=payload.info_hash)
    shim.wait_for_status(
        payload.info_hash, "what is there is found", lambda it: it["pieces_downloaded"] == 10
    )
    connect(shim, payload, oracle.port)
    shim.wait_until_seeding(payload.info_hash)
    shim.call("flush_cache", torrent_id=payload.info_hash)
    payload.assert_same(save_path)


def limited(command: list[str], size: int) -> list[str]:
    """`command` run so that it can write no file beyond a size."""
    return ["prlimit", f"--fsize={size}:unlimited", *command]


def test_a_file_beyond_the_processes_limit(
    start_shim: Callable[..., Shim], oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    payload = single_file(tmp_path / "data", rng, PIECE, 40 * PIECE + 77)
    oracle.seed(payload.torrent, payload.save_path)
    shim = start_shim(command=limited(shim_command(), 20 * PIECE))
    shim.start_session(settings=SETTINGS)
    save_path = tmp_path / "save"
    add(shim, payload, save_path, oracle.port)
    file = save_path / payload.root.name
    wait_for_error(shim, payload, file, "file too large")
    shim.call("flush_cache", torrent_id=payload.info_hash)
    have = claimed(shim, payload)
    assert have <= right(payload, file)
    assert all(piece < 20 for piece in have)
    assert_serves(shim, payload, tmp_path / "leecher", len(have))
    # Twenty pieces are just what the limit allows.
    other_torrent(shim, rng, tmp_path, oracle)
    pid = shim.process.pid
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
    goes_on(shim, payload, save_path, oracle, len(have))


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """While this lasts nobody without power over files can write `path`."""
    path.chmod(0o444)
    try:
        yield
    finally:
        path.chmod(0o644)


def test_a_file_that_must_not_be_written(
    start_shim: Callable[..., Shim], oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    sizes = {"a": 10 * PIECE, "locked": 10 * PIECE, "z": 10 * PIECE}
    payload = many_files(tmp_path / "data", rng, PIECE, sizes)
    oracle.seed(payload.torrent, payload.save_path)
    shim = start_shim(command=powerless(shim_command()))
    shim.start_session(settings=SETTINGS)
    save_path = tmp_path / "save"
    file = save_path / "many" / "locked"
    file.parent.mkdir(parents=True)
    file.write_bytes(bytes(10 * PIECE))
    with locked(file):
        add(shim, payload, save_path, oracle.port)
        wait_for_error(shim, payload, file, "permission denied")
        shim.call("flush_cache", torrent_id=payload.info_hash)
        have = claimed(shim, payload)
        assert not have & set(range(10, 20))
        other_torrent(shim, rng, tmp_path, oracle)
    goes_on(shim, payload, save_path, oracle, len(have))


def test_a_folder_on_a_read_only_file_system(
    shim: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    payload = single_file(tmp_path / "data", rng, PIECE, 40 * PIECE + 77)
    oracle.seed(payload.torrent, payload.save_path)
    shim.start_session(settings=SETTINGS)
    save_path = tmp_path / "save"
    save_path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "ro,size=8m", "tmpfs", str(save_path)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    assert mounted.returncode == 0, f"this test needs to mount a tmpfs: {mounted.stderr}"
    try:
        add(shim, payload, save_path, oracle.port)
        wait_for_error(shim, payload, save_path / payload.root.name, "read-only")
        other_torrent(shim, rng, tmp_path, oracle)
        subprocess.run(["mount", "-o", "remount,rw", str(save_path)], check=True)
        goes_on(shim, payload, save_path, oracle, 0)
    finally:
        subprocess.run(["umount", "--lazy", str(save_path)], check=True)
