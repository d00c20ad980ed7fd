"""Swarms of both kinds of client: everybody ends with every byte."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from harness.oracle import Oracle
from harness.payload import KIB, describe
from harness.rpc import Shim
from harness.tracker import Tracker
from harness.waiting import wait_until


@pytest.mark.parametrize("seed_is_ours", [False, True])
def test_ours_and_libtorrents_serve_each_other(
    start_shim: Callable[..., Shim],
    rng: random.Random,
    tmp_path: Path,
    seed_is_ours: bool,
) -> None:
    folder = tmp_path / "seed"
    folder.mkdir()
    root = folder / "swarm.bin"
    root.write_bytes(rng.randbytes(6_000_011))
    with ExitStack() as stack:
        # Asked again soon, so that those who came first hear of those who came later.
        tracker = stack.enter_context(Tracker(interval=1))
        payload = describe(root, 32 * KIB, [tracker.url])
        settings = {"max_connections_per_ip": 0, "min_announce_interval": 1}

        def start_ours() -> tuple[Shim, int]:
            shim = start_shim()
            return shim, shim.start_session(settings=settings)

        def start_theirs() -> Oracle:
            return stack.enter_context(Oracle({"min_announce_interval": 1}))

        if seed_is_ours:
            seed, port = start_ours()
            seed.seed(payload)
        else:
            seed = start_theirs()
            port = seed.port
            seed.seed(payload.torrent, payload.save_path)
        wait_until(lambda: tracker.announces_of(port), "the seed announces")

        ours = [start_ours()[0] for _ in range(2)]
        theirs = [start_theirs() for _ in range(2)]
        for number, shim in enumerate(ours):
            shim.call(
                "add_torrent_file",
                path=str(payload.torrent_path),
                save_path=str(tmp_path / f"ours {number}"),
            )
        handles = [
            oracle.add(payload.torrent, tmp_path / f"theirs {number}")
            for number, oracle in enumerate(theirs)
        ]
        for number, shim in enumerate(ours):
            status = shim.wait_until_seeding(payload.info_hash)
            assert status["total_failed_bytes"] == 0
            shim.call("flush_cache", torrent_id=payload.info_hash)
            payload.assert_same(tmp_path / f"ours {number}")
        for number, (oracle, handle) in enumerate(zip(theirs, handles, strict=True)):
            oracle.wait_for_copy(handle, payload, tmp_path / f"theirs {number}")
            oracle.assert_no_errors()
        for shim in ours:
            shim.shut_down()
