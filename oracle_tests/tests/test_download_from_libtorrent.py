"""A libtorrent seed serves our leecher: every byte arrives, and libtorrent finds no fault."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.oracle import Oracle
from harness.payload import KIB, Payload, many_files, single_file
from harness.rpc import Shim

PIECE_SIZES = [16 * KIB, 64 * KIB, 256 * KIB, 1024 * KIB]


def download(ours: Shim, oracle: Oracle, payload: Payload, save_path: Path) -> dict:
    """Downloads all of `payload` from libtorrent alone; returns the last status."""
    oracle.seed(payload.torrent, payload.save_path)
    torrent_id = ours.call(
        "add_torrent_file", path=str(payload.torrent_path), save_path=str(save_path)
    )["torrent_id"]
    assert torrent_id == payload.info_hash
    ours.call("connect_peer", torrent_id=torrent_id, ip="127.0.0.1", port=oracle.port)
    ours.wait_for_alert("torrent_finished", torrent_id)
    status = ours.wait_until_seeding(torrent_id)
    ours.call("flush_cache", torrent_id=torrent_id)
    payload.assert_same(save_path)
    oracle.assert_no_errors()
    return status


@pytest.mark.parametrize("piece_size", PIECE_SIZES)
def test_one_file(
    ours: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path, piece_size: int
) -> None:
    # The last piece and the last block are both short.
    payload = single_file(tmp_path / "seed", rng, piece_size, 5_000_011)
    status = download(ours, oracle, payload, tmp_path / "save")
    assert status["total_done"] == status["total_wanted_done"] == payload.size
    assert status["total_failed_bytes"] == 0
    assert status["total_payload_download"] == payload.size
    assert status["progress"] == 1.0


@pytest.mark.parametrize("piece_size", PIECE_SIZES)
def test_many_files_of_odd_sizes(
    ours: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path, piece_size: int
) -> None:
    payload = many_files(tmp_path / "seed", rng, piece_size)
    status = download(ours, oracle, payload, tmp_path / "save")
    progress = ours.call("get_file_progress", torrent_id=payload.info_hash)["array"]
    info = ours.call("get_torrent_info", torrent_id=payload.info_hash)["info"]
    assert progress == [file["size"] for file in info["files"]]
    assert status["num_pieces"] == status["pieces_downloaded"] == info["num_pieces"]


@pytest.mark.parametrize("size", [1, 16 * KIB - 1, 16 * KIB, 16 * KIB + 1, 64 * KIB])
def test_the_smallest_torrents(
    ours: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path, size: int
) -> None:
    payload = single_file(tmp_path / "seed", rng, 64 * KIB, size)
    download(ours, oracle, payload, tmp_path / "save")


def test_several_torrents_at_once(
    ours: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    payloads = [
        single_file(tmp_path / f"seed{number}", rng, 64 * KIB, 1_000_000 + number)
        for number in range(4)
    ]
    for payload in payloads:
        oracle.seed(payload.torrent, payload.save_path)
    for number, payload in enumerate(payloads):
        ours.call(
            "add_torrent_file",
            path=str(payload.torrent_path),
            save_path=str(tmp_path / f"save{number}"),
        )
        ours.call("connect_peer", torrent_id=payload.info_hash, ip="127.0.0.1", port=oracle.port)
    ids = ours.call("list_torrents")["torrents"]
    assert sorted(ids) == sorted(payload.info_hash for payload in payloads)
    for number, payload in enumerate(payloads):
        ours.wait_until_seeding(payload.info_hash)
        ours.call("flush_cache", torrent_id=payload.info_hash)
        payload.assert_same(tmp_path / f"save{number}")
    oracle.assert_no_errors()


def test_two_of_ours_share_one_seed(
    start_shim: Callable[..., Shim], oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    payload = single_file(tmp_path / "seed", rng, 64 * KIB, 8_000_003)
    oracle.seed(payload.torrent, payload.save_path)
    leechers = [start_shim(), start_shim()]
    ports = [leecher.start_session() for leecher in leechers]
    for number, leecher in enumerate(leechers):
        leecher.call(
            "add_torrent_file",
            path=str(payload.torrent_path),
            save_path=str(tmp_path / f"save{number}"),
        )
    for leecher, other in zip(leechers, reversed(ports), strict=True):
        for port in (oracle.port, other):
            leecher.call("connect_peer", torrent_id=payload.info_hash, ip="127.0.0.1", port=port)
    for number, leecher in enumerate(leechers):
        leecher.wait_until_seeding(payload.info_hash)
        leecher.call("flush_cache", torrent_id=payload.info_hash)
        payload.assert_same(tmp_path / f"save{number}")
    oracle.assert_no_errors()


def test_files_that_are_not_wanted_stay_away(
    ours: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    piece = 16 * KIB
    # On piece boundaries, so that no file shares a piece with another.
    sizes = {"0": 4 * piece, "1": 8 * piece, "2": 2 * piece}
    payload = many_files(tmp_path / "seed", rng, piece, sizes)
    oracle.seed(payload.torrent, payload.save_path)
    save_path = tmp_path / "save"
    torrent_id = ours.call(
        "add_torrent_file",
        path=str(payload.torrent_path),
        save_path=str(save_path),
        file_priorities=[4, 0, 4],
    )["torrent_id"]
    ours.call("connect_peer", torrent_id=torrent_id, ip="127.0.0.1", port=oracle.port)
    ours.wait_for_alert("torrent_finished", torrent_id)
    status = ours.wait_for_status(torrent_id, "finished", lambda status: status["is_finished"])
    assert not status["is_seeding"]
    assert status["total_wanted"] == status["total_wanted_done"] == 6 * piece
    ours.call("flush_cache", torrent_id=torrent_id)
    for name in ("0", "2"):
        assert (save_path / "many" / name).read_bytes() == (payload.root / name).read_bytes()
    assert not (save_path / "many" / "1").exists()
    assert ours.call("get_file_priorities", torrent_id=torrent_id)["array"] == [4, 0, 4]

    # Wanted after all.
    ours.call("set_torrent_options", torrent_id=torrent_id, file_priorities=[4, 4, 4])
    ours.call("connect_peer", torrent_id=torrent_id, ip="127.0.0.1", port=oracle.port)
    ours.wait_until_seeding(torrent_id)
    ours.call("flush_cache", torrent_id=torrent_id)
    payload.assert_same(save_path)
    oracle.assert_no_errors()


def test_a_paused_torrent_waits_and_goes_on(
    ours: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    payload = single_file(tmp_path / "seed", rng, 64 * KIB, 3_000_000)
    oracle.seed(payload.torrent, payload.save_path)
    torrent_id = ours.call(
        "add_torrent_file",
        path=str(payload.torrent_path),
        save_path=str(tmp_path / "save"),
        paused=True,
    )["torrent_id"]
    assert ours.status(torrent_id)["paused"]
    ours.call("resume_torrent", torrent_id=torrent_id)
    ours.wait_for_status(torrent_id, "not paused", lambda status: not status["paused"])
    ours.call("connect_peer", torrent_id=torrent_id, ip="127.0.0.1", port=oracle.port)
    ours.wait_until_seeding(torrent_id)
    ours.call("flush_cache", torrent_id=torrent_id)
    payload.assert_same(tmp_path / "save")
    oracle.assert_no_errors()
