"""Pieces that peers are advised to ask for (BEP 6)."""

from __future__ import annotations

import random
import struct
from pathlib import Path

from harness.payload import KIB, single_file
from harness.peer import HAVE_NONE, INTERESTED, PIECE, REQUEST, SUGGEST, UNCHOKE, Peer
from harness.rpc import Shim


def advice(port: int, info_hash: str, pieces: list[int]) -> list[int]:
    """What a peer is advised to ask for after another one got blocks of these pieces."""
    with Peer.connect(port, info_hash) as first:
        first.send(HAVE_NONE)
        first.send(INTERESTED)
        first.wait_for(UNCHOKE)
        for piece in pieces:
            first.send(REQUEST, piece, 0, 16 * KIB)
            assert first.wait_for(PIECE)[:4] == struct.pack(">I", piece)
        with Peer.connect(port, info_hash, source="127.0.0.2") as second:
            second.send(HAVE_NONE)
            second.send(INTERESTED)
            second.wait_for(UNCHOKE)
            return [struct.unpack(">I", second.wait_for(SUGGEST))[0] for _ in range(2)]


def test_what_was_read_last_is_suggested(shim: Shim, rng: random.Random, tmp_path: Path) -> None:
    payload = single_file(tmp_path / "seed", rng, 32 * KIB, 1_000_003)
    shim.start_session(settings={"suggest_mode": 1})
    shim.seed(payload)
    pieces = rng.sample(range(30), 5)
    assert advice(shim.port, payload.info_hash, pieces) == pieces[-2:]
