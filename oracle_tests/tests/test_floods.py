"""Floods: a thousand peers that never answer and two thousand callers that never speak keep
no real peer away, and take no more files and no more attempts than the settings allow."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from harness.bad_tracker import BadTracker, whole
from harness.bencode import bencode
from harness.oracle import Oracle
from harness.payload import KIB, describe
from harness.rpc import Shim, shim_command
from harness.waiting import wait_until

# What the process may have open.
FILES = 1024
BLACKHOLES = 1000
CALLERS = 2000

# Settings that are those of a game that says nothing.
CONNECTION_SPEED = 30
BOOST = 30
HALF_OPEN = 100
CONNECTIONS = 200
# Callers without a handshake, and what the engine has open besides.
LOBBY = 256
OTHERS = 100


@pytest.fixture
def many_files() -> Iterator[None]:
    """This process may have thousands of sockets."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = CALLERS + 1000
    if before[0] < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, max(before[1], needed)))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def blackhole(stack: ExitStack) -> int:
    """A port that swallows connections at any address of loopback."""
    listener = stack.enter_context(socket.socket())
    listener.bind(("0.0.0.0", 0))
    listener.listen(0)
    port = listener.getsockname()[1]
    # Until nobody gets an answer any more.
    for _ in range(16):
        try:
            filler = socket.create_connection(("127.0.0.1", port), timeout=0.5)
        except TimeoutError:
            return port
        stack.enter_context(filler)
    raise AssertionError("the backlog never fills")


def open_files(shim: Shim) -> int:
    return len(os.listdir(f"/proc/{shim.process.pid}/fd"))


def test_a_real_peer_gets_through(
    start_shim: Callable[..., Shim], many_files: None, rng: random.Random, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        port = blackhole(stack)
        addresses = [bytes([127, 1, at // 250, at % 250 + 1]) for at in range(BLACKHOLES)]
        peers = b"".join(address + port.to_bytes(2, "big") for address in addresses)
        answer = whole(bencode({"interval": 1800, "peers": peers}))
        tracker = stack.enter_context(BadTracker([answer]))
        root = tmp_path / "data" / "tracked.bin"
        root.parent.mkdir()
        root.write_bytes(rng.randbytes(3_000_000))
        # The seeds know nothing of the tracker and its peers.
        untracked = describe(root, 64 * KIB).torrent
        payload = describe(root, 64 * KIB, [tracker.url])
        calling = stack.enter_context(Oracle())
        called = stack.enter_context(Oracle())
        seeds = [called.seed(untracked, payload.save_path)]
        # Too slow to be done before both are there.
        seeds[0].set_upload_limit(20_000)

        command = ["prlimit", f"--nofile={FILES}", *shim_command()]
        shim = start_shim(command=command)
        begun = time.monotonic()
        ours = shim.start_session(settings={"max_connections_per_ip": 0})
        most = 0

        def look() -> None:
            nonlocal most
            attempts = shim.call("get_engine_stats")["stats"]["peer.connection_attempts"]
            elapsed = time.monotonic() - begun
            assert attempts <= BOOST + 1 + CONNECTION_SPEED * (elapsed + 1), (attempts, elapsed)
            most = max(most, open_files(shim))

        shim.call(
            "add_torrent_file", path=str(payload.torrent_path), save_path=str(tmp_path / "save")
        )

        def stuck() -> bool:
            look()
            status = shim.status(payload.info_hash)
            return status["num_connections"] >= HALF_OPEN and status["list_peers"] >= BLACKHOLES

        wait_until(stuck, "all attempts wait for somebody who never answers")
        for number in range(CALLERS):
            caller = stack.enter_context(socket.create_connection(("127.0.0.1", ours)))
            if number % 2:
                with contextlib.suppress(ConnectionError):
                    # It may have been turned away already.
                    caller.sendall(b"\x13BitTorrent")
            if number % 100 == 0:
                look()
        # One that calls, and one that is called by its name.
        handle = calling.seed(untracked, payload.save_path)
        handle.set_upload_limit(20_000)
        seeds.append(handle)
        handle.connect_peer(("127.0.0.1", ours))
        shim.call("connect_peer", torrent_id=payload.info_hash, ip="127.0.0.1", port=called.port)

        def both() -> bool:
            look()
            known = shim.call("get_peers", torrent_id=payload.info_hash)["peers"]
            seen.update(peer["is_incoming"] for peer in known if peer["is_seed"])
            return seen == {True, False}

        seen: set[bool] = set()
        wait_until(both, "both real peers are connected")
        for seed in seeds:
            seed.set_upload_limit(-1)
        shim.wait_until_seeding(payload.info_hash)
        look()
        assert most <= CONNECTIONS + HALF_OPEN + LOBBY + OTHERS, most
        shim.call("flush_cache", torrent_id=payload.info_hash)
        payload.assert_same(tmp_path / "save")
