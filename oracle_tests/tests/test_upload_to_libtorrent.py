"""Our seed serves a libtorrent leecher: every byte arrives, and libtorrent finds no fault."""

from __future__ import annotations

import random
from pathlib import Path

import libtorrent as lt
import pytest
from harness.oracle import Oracle
from harness.payload import KIB, Payload, many_files, single_file
from harness.rpc import Shim

PIECE_SIZES = [16 * KIB, 64 * KIB, 256 * KIB, 1024 * KIB]


def seed(ours: Shim, payload: Payload) -> str:
    """Adds the payload and returns its id when it is checked and seeding."""
    torrent_id = ours.call(
        "add_torrent_and_seed", path=str(payload.torrent_path), data_dir=str(payload.save_path)
    )["torrent_id"]
    assert torrent_id == payload.info_hash
    ours.wait_until_seeding(torrent_id)
    return torrent_id


def upload(shim: Shim, oracle: Oracle, payload: Payload, save_path: Path) -> None:
    """libtorrent downloads all of `payload` from us alone."""
    port = shim.start_session()
    seed(shim, payload)
    leecher = oracle.add(payload.torrent, save_path)
    leecher.connect_peer(("127.0.0.1", port))
    oracle.wait_for("torrent_finished")
    oracle.wait_for_copy(leecher, payload, save_path)
    oracle.assert_no_errors()
    assert leecher.status().total_failed_bytes == 0


@pytest.mark.parametrize("piece_size", PIECE_SIZES)
def test_one_file(
    shim: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path, piece_size: int
) -> None:
    payload = single_file(tmp_path / "seed", rng, piece_size, 5_000_011)
    upload(shim, oracle, payload, tmp_path / "save")
    status = shim.wait_for_status(
        payload.info_hash,
        "the upload is counted",
        lambda status: status["total_payload_upload"] >= payload.size,
    )
    assert status["is_seeding"]


@pytest.mark.parametrize("piece_size", PIECE_SIZES)
def test_many_files_of_odd_sizes(
    shim: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path, piece_size: int
) -> None:
    payload = many_files(tmp_path / "seed", rng, piece_size)
    upload(shim, oracle, payload, tmp_path / "save")


@pytest.mark.parametrize("size", [1, 16 * KIB - 1, 16 * KIB, 16 * KIB + 1, 64 * KIB])
def test_the_smallest_torrents(
    shim: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path, size: int
) -> None:
    payload = single_file(tmp_path / "seed", rng, 64 * KIB, size)
    upload(shim, oracle, payload, tmp_path / "save")


def test_we_connect_to_the_leecher(
    ours: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    payload = single_file(tmp_path / "seed", rng, 64 * KIB, 2_000_001)
    torrent_id = seed(ours, payload)
    leecher = oracle.add(payload.torrent, tmp_path / "save")
    # Before that it turns us away, and nobody calls again within a minute.
    oracle.wait_for("torrent_checked")
    ours.call("connect_peer", torrent_id=torrent_id, ip="127.0.0.1", port=oracle.port)
    oracle.wait_for("torrent_finished")
    oracle.wait_for_copy(leecher, payload, tmp_path / "save")
    oracle.assert_no_errors()


def test_three_leechers_share_our_seed(shim: Shim, rng: random.Random, tmp_path: Path) -> None:
    payload = single_file(tmp_path / "seed", rng, 64 * KIB, 4_000_003)
    port = shim.start_session(settings={"allow_multiple_connections_per_ip": True})
    seed(shim, payload)
    with Oracle() as one, Oracle() as two, Oracle() as three:
        oracles = [one, two, three]
        leechers = [
            oracle.add(payload.torrent, tmp_path / f"save{number}")
            for number, oracle in enumerate(oracles)
        ]
        for leecher in leechers:
            leecher.connect_peer(("127.0.0.1", port))
        for number, oracle in enumerate(oracles):
            oracle.wait_for("torrent_finished")
            oracle.wait_for_copy(leechers[number], payload, tmp_path / f"save{number}")
            oracle.assert_no_errors()


def test_a_leecher_that_would_rather_encrypt_is_served_in_the_end(
    shim: Shim, rng: random.Random, tmp_path: Path
) -> None:
    payload = single_file(tmp_path / "seed", rng, 64 * KIB, 500_003)
    with Oracle({"out_enc_policy": int(lt.enc_policy.enabled)}) as oracle:
        upload(shim, oracle, payload, tmp_path / "save")
