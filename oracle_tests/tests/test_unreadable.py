"""Files that cannot be read under a seed: requests are refused and the pieces taken
back."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path

import libtorrent as lt
import pytest
from harness.oracle import Oracle
from harness.payload import KIB, Payload, single_file
from harness.peer import EXTENDED, HAVE_NONE, INTERESTED, PIECE, REJECT, REQUEST, UNCHOKE, Peer
from harness.rpc import Shim
from harness.waiting import wait_until

PIECE_SIZE = 64 * KIB
# The number by which a test's peer wants to be told of lost pieces.
DONT_HAVE = 7


@pytest.fixture
def payload(rng: random.Random, tmp_path: Path) -> Payload:
    """Ten pieces in one file."""
    return single_file(tmp_path / "seed", rng, PIECE_SIZE, 10 * PIECE_SIZE)


def seed_then_cut(shim: Shim, payload: Payload, folder: Path, length: int) -> int:
    """We seed a copy of the payload, of which all after `length` bytes is then gone.
    Returns our port."""
    port = shim.start_session()
    folder.mkdir()
    copy = folder / payload.root.name
    copy.write_bytes(payload.root.read_bytes())
    shim.call("add_torrent_file", path=str(payload.torrent_path), save_path=str(folder))
    shim.wait_until_seeding(payload.info_hash)
    with copy.open("r+b") as file:
        file.truncate(length)
    return port


def test_requests_are_refused_and_the_piece_is_taken_back(
    shim: Shim, payload: Payload, tmp_path: Path
) -> None:
    port = seed_then_cut(shim, payload, tmp_path / "ours", 9 * PIECE_SIZE)
    with Peer.connect(port, payload.info_hash) as peer:
        peer.send(HAVE_NONE)
        peer.extended(0, {"m": {"lt_donthave": DONT_HAVE}})
        peer.send(INTERESTED)
        peer.wait_for(UNCHOKE)
        wanted = {(9, begin, 16 * KIB) for begin in range(0, PIECE_SIZE, 16 * KIB)}
        for request in sorted(wanted):
            peer.send(REQUEST, *request)
        refused = []
        taken_back = []
        while len(refused) < len(wanted) or not taken_back:
            kind, body = peer.receive()
            assert kind != PIECE
            if kind == REJECT:
                refused.append(struct.unpack(">III", body))
            elif kind == EXTENDED and body[0] == DONT_HAVE:
                taken_back.append(body[1:])
        assert sorted(refused) == sorted(wanted)
        assert taken_back == [struct.pack(">I", 9)]
        # What is there is served still.
        peer.send(REQUEST, 0, 0, 16 * KIB)
        body = peer.wait_for(PIECE)
        assert body[8:] == payload.root.read_bytes()[: 16 * KIB]


@pytest.mark.parametrize("by_magnet", [False, True])
def test_a_leecher_goes_on_with_another_seed(
    start_shim: Callable[..., Shim],
    oracle: Oracle,
    payload: Payload,
    tmp_path: Path,
    by_magnet: bool,
) -> None:
    cut = seed_then_cut(start_shim(), payload, tmp_path / "cut", 4 * PIECE_SIZE)
    if by_magnet:
        uri = lt.make_magnet_uri(lt.load_torrent_buffer(payload.torrent))
        leecher = oracle.add_magnet(uri, tmp_path / "save")
    else:
        leecher = oracle.add(payload.torrent, tmp_path / "save")
    leecher.connect_peer(("127.0.0.1", cut))
    # All that this seed can read, and the leecher knows that there is no more.
    wait_until(lambda: leecher.status().num_pieces == 4, "four pieces")
    wait_until(
        lambda: [peer.num_pieces for peer in leecher.get_peer_info()] in ([4], []),
        "the other six are taken back",
    )
    whole = [start_shim() for _ in range(2)]
    for shim in whole:
        port = shim.start_session()
        shim.seed(payload)
        leecher.connect_peer(("127.0.0.1", port))
    oracle.wait_for_copy(leecher, payload, tmp_path / "save")
    oracle.assert_no_errors()
    assert leecher.status().total_failed_bytes == 0


@pytest.mark.parametrize("by_magnet", [False, True])
def test_a_leecher_that_knows_all_seeds_from_the_start(
    start_shim: Callable[..., Shim],
    oracle: Oracle,
    payload: Payload,
    tmp_path: Path,
    by_magnet: bool,
) -> None:
    # Each of two seeds has lost what the other one has, and a third has all.
    ports = [
        seed_then_cut(start_shim(), payload, tmp_path / "none", 0),
        seed_then_cut(start_shim(), payload, tmp_path / "some", 6 * PIECE_SIZE + 1),
        seed_then_cut(start_shim(), payload, tmp_path / "all", 10 * PIECE_SIZE),
    ]
    if by_magnet:
        uri = lt.make_magnet_uri(lt.load_torrent_buffer(payload.torrent))
        leecher = oracle.add_magnet(uri, tmp_path / "save")
    else:
        leecher = oracle.add(payload.torrent, tmp_path / "save")
    for port in ports:
        leecher.connect_peer(("127.0.0.1", port))
    oracle.wait_for_copy(leecher, payload, tmp_path / "save")
    oracle.assert_no_errors()


def test_what_was_lost_is_fetched_again(
    ours: Shim, oracle: Oracle, payload: Payload, tmp_path: Path
) -> None:
    folder = tmp_path / "ours"
    folder.mkdir()
    copy = folder / payload.root.name
    copy.write_bytes(payload.root.read_bytes())
    ours.call("add_torrent_file", path=str(payload.torrent_path), save_path=str(folder))
    ours.wait_until_seeding(payload.info_hash)
    with copy.open("r+b") as file:
        file.truncate(9 * PIECE_SIZE)
    seed = oracle.seed(payload.torrent, payload.save_path)
    with Oracle() as other:
        leecher = other.add(payload.torrent, tmp_path / "save")
        leecher.connect_peer(("127.0.0.1", ours.port))
        ours.wait_for_alert("file_error", payload.info_hash)
        wait_until(lambda: not ours.status(payload.info_hash)["is_seeding"], "the piece is missing")
        ours.clear_error(payload.info_hash)
        ours.call("connect_peer", torrent_id=payload.info_hash, ip="127.0.0.1", port=oracle.port)
        ours.wait_until_seeding(payload.info_hash)
        other.wait_for_state(leecher, lt.torrent_status.states.seeding)
        other.assert_no_errors()
    ours.call("flush_cache", torrent_id=payload.info_hash)
    payload.assert_same(folder)
    assert seed.is_valid()
    oracle.assert_no_errors()
