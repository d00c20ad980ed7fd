"""Pieces of a range are fetched first, in their order."""

from __future__ import annotations

import random
import socket
from pathlib import Path

from harness.payload import KIB, single_file
from harness.peer import HAVE_ALL, INTERESTED, REQUEST, UNCHOKE, Peer
from harness.rpc import Shim


def test_a_range_comes_first(ours: Shim, rng: random.Random, tmp_path: Path) -> None:
    payload = single_file(tmp_path / "seed", rng, 32 * KIB, 1_000_003)
    torrent_id = ours.call(
        "add_torrent_file", path=str(payload.torrent_path), save_path=str(tmp_path / "save")
    )["torrent_id"]
    ours.wait_for_status(torrent_id, "downloading", lambda status: status["state"] == 3)
    for wrong in ([20, 10], [0, 31], [1], "x"):
        error = ours.refuse("set_torrent_options", torrent_id=torrent_id, sequential_range=wrong)
        assert "piece" in error.message
    ours.call("set_torrent_options", torrent_id=torrent_id, sequential_range=[20, 22])
    ours.wait_for_status(torrent_id, "a range", lambda status: status["is_sequential_download"])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        at = listener.getsockname()[1]
        ours.call("connect_peer", torrent_id=torrent_id, ip="127.0.0.1", port=at)
        with Peer.accept(listener, payload.info_hash) as peer:
            peer.send(HAVE_ALL)
            peer.wait_for(INTERESTED)
            peer.send(UNCHOKE)
            asked = [int.from_bytes(peer.wait_for(REQUEST)[:4], "big") for _ in range(4)]
    assert asked == [20, 20, 21, 21]
