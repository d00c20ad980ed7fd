"""Files that cannot be read under a seed: requests are refused and the pieces taken
back."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest
from harness.payload import KIB, Payload, single_file
from harness.peer import EXTENDED, HAVE_NONE, INTERESTED, PIECE, REJECT, REQUEST, UNCHOKE, Peer
from harness.rpc import Shim

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
