"""Peer exchange (BEP 11) with libtorrent: each kind of client hears of a third from either."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import libtorrent as lt
import pytest
from harness.oracle import Oracle
from harness.payload import KIB, Payload, single_file
from harness.rpc import Shim
from harness.waiting import wait_until


class Ours:
    """A torrent of ours that nothing can be had of."""

    def __init__(self, start_shim: Callable[..., Shim], payload: Payload, folder: Path) -> None:
        self.shim = start_shim()
        self.port = self.shim.start_session(
            settings={"max_connections_per_ip": 0, "enable_pex": True}
        )
        self.torrent_id = self.shim.add(payload, folder)

    def connect(self, port: int) -> None:
        self.shim.call("connect_peer", torrent_id=self.torrent_id, ip="127.0.0.1", port=port)

    def heard_of(self, port: int) -> bool:
        peers = self.shim.call("get_peers", torrent_id=self.torrent_id)["peers"]
        return any(peer["port"] == port and "pex" in peer["source"] for peer in peers)


class Theirs:
    """The same of libtorrent's."""

    def __init__(self, oracle: Oracle, payload: Payload, folder: Path) -> None:
        self.port = oracle.port
        self.handle = oracle.add(payload.torrent, folder)

    def connect(self, port: int) -> None:
        self.handle.connect_peer(("127.0.0.1", port))

    def heard_of(self, port: int) -> bool:
        from_pex = lt.peer_info.pex
        return any(
            peer.ip[1] == port and peer.source & from_pex for peer in self.handle.get_peer_info()
        )


@pytest.mark.parametrize(
    "kinds",
    [
        # Who knows both, and the two that do not know each other.
        ("theirs", "ours", "ours"),
        ("ours", "theirs", "theirs"),
        ("ours", "ours", "theirs"),
        ("theirs", "ours", "theirs"),
    ],
    ids="-".join,
)
def test_two_that_know_a_third_find_each_other(
    start_shim: Callable[..., Shim],
    rng: random.Random,
    tmp_path: Path,
    kinds: tuple[str, str, str],
) -> None:
    payload = single_file(tmp_path / "seed", rng, 16 * KIB, 100_000)
    with ExitStack() as stack:
        clients: list[Ours | Theirs] = []
        for number, kind in enumerate(kinds):
            folder = tmp_path / f"{number}"
            if kind == "ours":
                clients.append(Ours(start_shim, payload, folder))
            else:
                clients.append(Theirs(stack.enter_context(Oracle()), payload, folder))
        hub, first, second = clients
        first.connect(hub.port)
        second.connect(hub.port)
        # One of the two has dialled the other.
        wait_until(
            lambda: first.heard_of(second.port) or second.heard_of(first.port),
            "they hear of each other",
        )
