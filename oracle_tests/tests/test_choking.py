"""Upload slots: of the session, and of a torrent within them."""

from __future__ import annotations

import contextlib
import os
import random
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from harness.oracle import Oracle
from harness.payload import KIB, Payload, single_file
from harness.rpc import Shim
from harness.waiting import wait_until


def unchoked(shim: Shim, payloads: list[Payload]) -> list[int]:
    """How many peers of each torrent may download."""
    count: list[int] = []
    for payload in payloads:
        peers: list[dict[str, Any]] = shim.call("get_peers", torrent_id=payload.info_hash)["peers"]
        count.append(sum(not peer["is_choked"] for peer in peers))
    return count


def interested(shim: Shim, payloads: list[Payload]) -> int:
    """How many peers want something."""
    return sum(
        peer["is_remote_interested"]
        for payload in payloads
        for peer in shim.call("get_peers", torrent_id=payload.info_hash)["peers"]
    )


def test_slots_are_the_sessions_and_a_torrent_may_have_fewer(
    shim: Shim, rng: random.Random, tmp_path: Path
) -> None:
    port = shim.start_session(
        settings={
            "max_connections_per_ip": 0,
            "unchoke_slots_limit": 5,
            "unchoke_interval": 1,
            "optimistic_unchoke_interval": 1,
            "upload_rate_limit": 200_000,
        }
    )
    payloads = [single_file(tmp_path / name, rng, 64 * KIB, 6 << 20) for name in ("one", "two")]
    for payload in payloads:
        shim.seed(payload)
    shim.call("set_torrent_options", torrent_id=payloads[1].info_hash, max_uploads=2)
    with ExitStack() as stack:
        for number in range(12):
            payload = payloads[number % 2]
            oracle = stack.enter_context(Oracle())
            handle = oracle.add(payload.torrent, tmp_path / f"leecher {number}")
            handle.connect_peer(("127.0.0.1", port))
        wait_until(lambda: interested(shim, payloads) == 12, "everybody wants something")
        wait_until(lambda: sum(unchoked(shim, payloads)) == 5, "all slots are taken")
        served: set[tuple[str, int]] = set()

        def everybody_had_a_turn() -> bool:
            counts = unchoked(shim, payloads)
            assert counts[0] <= 5, counts
            assert counts[1] <= 2, counts
            if sum(counts) > 5:
                # Two snapshots of two moments: slots may be on their way between them.
                wait_until(lambda: sum(unchoked(shim, payloads)) <= 5, "five slots are taken")
            for payload in payloads:
                peers = shim.call("get_peers", torrent_id=payload.info_hash)["peers"]
                served.update(
                    (peer["ip"], peer["port"]) for peer in peers if peer["total_upload"] > 0
                )
            return len(served) == 12

        wait_until(everybody_had_a_turn, "everybody had a turn", 180)
        # More slots take effect at once.
        shim.call("apply_settings", settings={"unchoke_slots_limit": -1})
        shim.call("set_torrent_options", torrent_id=payloads[1].info_hash, max_uploads=-1)
        wait_until(lambda: sum(unchoked(shim, payloads)) == 12, "nobody is choked")


def test_churn_leaves_nothing_behind(shim: Shim, rng: random.Random, tmp_path: Path) -> None:
    port = shim.start_session(settings={"max_connections_per_ip": 0})
    payload = single_file(tmp_path / "payload", rng, 64 * KIB, 1 << 20)
    shim.seed(payload)

    def descriptors() -> int:
        return len(os.listdir(f"/proc/{shim.process.pid}/fd"))

    before = descriptors()
    for number in range(1000):
        with socket.create_connection(("127.0.0.1", port)) as peer:
            if number % 3:
                handshake = b"\x13BitTorrent protocol" + bytes(8)
                handshake += bytes.fromhex(payload.info_hash) + rng.randbytes(20)
                with contextlib.suppress(ConnectionError):
                    # It may have been turned away already.
                    peer.sendall(handshake[: len(handshake) if number % 2 else 30])
    wait_until(lambda: descriptors() <= before + 2, "descriptors are closed again")
    peers = lambda: shim.call("get_peers", torrent_id=payload.info_hash)["peers"]  # noqa: E731
    wait_until(lambda: not peers(), "nobody is connected")
