"""Where peers are and where we are: what both engines tell each other of it, and who keeps a
place when there are too many."""

from __future__ import annotations

import queue
import random
import socket
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import libtorrent as lt
from harness.oracle import Oracle
from harness.payload import KIB, Payload, describe, single_file
from harness.peer import Closed, Peer
from harness.rpc import Shim
from harness.tracker import Tracker
from harness.waiting import DEADLINE_SECONDS, wait_until


def seeded(shim: Shim, oracle: Oracle, payload: Payload) -> tuple[str, Any]:
    """Both engines seed the payload."""
    torrent_id = shim.seed(payload)
    return torrent_id, oracle.seed(payload.torrent, payload.save_path)


def test_both_believe_what_a_tracker_sees(
    shim: Shim, oracle: Oracle, tracker: Tracker, rng: random.Random, tmp_path: Path
) -> None:
    tracker.external_ip = "93.184.216.34"
    folder = tmp_path / "seed"
    folder.mkdir()
    (folder / "seen.bin").write_bytes(rng.randbytes(100_003))
    payload = describe(folder / "seen.bin", 16 * KIB, [tracker.url])
    shim.start_session(settings={"alert_mask": 0xFFFFFFFF})
    seeded(shim, oracle, payload)
    assert tracker.external_ip in oracle.wait_for("external_ip").message
    alert = shim.wait_for_alert("external_ip")
    assert tracker.external_ip in alert["message"]
    assert alert["external_address"] == tracker.external_ip


def hello_when_called(port: int, info_hash: str) -> dict[bytes, Any]:
    with Peer.connect(port, info_hash) as peer:
        return peer.wait_for_extended(0)[0]


def hello_when_calling(listener: socket.socket, info_hash: str) -> dict[bytes, Any]:
    with Peer.accept(listener, info_hash) as peer:
        return peer.wait_for_extended(0)[0]


def test_both_say_the_same_of_where_they_are(
    ours: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    payload = single_file(tmp_path / "seed", rng, 16 * KIB, 100_003)
    torrent_id = ours.call(
        "add_torrent_file", path=str(payload.torrent_path), save_path=str(tmp_path / "ours")
    )["torrent_id"]
    ours.wait_for_status(torrent_id, "downloading", lambda status: status["state"] == 3)
    handle = oracle.add(payload.torrent, tmp_path / "theirs")
    oracle.wait_for_state(handle, lt.torrent_status.states.downloading)
    loopback = socket.inet_aton("127.0.0.1")
    for port in (ours.port, oracle.port):
        hello = hello_when_called(port, payload.info_hash)
        assert b"p" not in hello, "whoever calls knows it"
        assert hello[b"yourip"] == loopback
    with socket.create_server(("127.0.0.1", 0)) as listener:
        at = listener.getsockname()[1]
        ours.call("connect_peer", torrent_id=torrent_id, ip="127.0.0.1", port=at)
        assert hello_when_calling(listener, payload.info_hash)[b"p"] == ours.port
        handle.connect_peer(("127.0.0.1", at))
        assert hello_when_calling(listener, payload.info_hash)[b"p"] == oracle.port


def test_a_caller_can_be_called_back(
    ours: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    payload = single_file(tmp_path / "seed", rng, 16 * KIB, 1_000_003)
    torrent_id, seed = seeded(ours, oracle, payload)
    assert ours.status(torrent_id)["list_peers"] == 0
    assert seed.status().list_peers == 0
    # A peer that tells both of the port at which it listens, and is called there.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        at = listener.getsockname()[1]
        for port in (ours.port, oracle.port):
            with Peer.connect(port, payload.info_hash) as peer:
                peer.wait_for_extended(0)
                peer.extended(0, {"m": {}, "p": at})
                counts = {
                    ours.port: lambda: ours.status(torrent_id)["list_peers"] == 1,
                    oracle.port: lambda: seed.status().list_peers == 1,
                }
                wait_until(counts[port], "the caller is in the list of peers")
        # libtorrent is in no hurry to; we are back after the usual wait.
        ours.call("apply_settings", settings={"min_reconnect_time": 1})
        with Peer.accept(listener, payload.info_hash) as peer:
            hello = peer.wait_for_extended(0)[0]
            assert hello[b"p"] in (ours.port, oracle.port)


def survivors(port: int, info_hash: str, sources: list[str]) -> set[str]:
    """Who is left of callers from these addresses, where there is room for two."""
    left: set[str] = set()
    gone: queue.Queue[str] = queue.Queue()

    def watch(peer: Peer, source: str) -> None:
        peer.wait_until_closed()
        gone.put(source)

    watchers = []
    with ExitStack() as stack:
        for source in sources:
            left.add(source)
            try:
                peer = stack.enter_context(Peer.connect(port, info_hash, source=source))
                peer.wait_for_extended(0)
                watchers.append(threading.Thread(target=watch, args=(peer, source)))
                watchers[-1].start()
            except (Closed, ConnectionError):
                gone.put(source)
            if len(left) > 2:
                left.remove(gone.get(timeout=DEADLINE_SECONDS))
    for watcher in watchers:
        watcher.join()
    return left


def test_both_keep_the_callers_of_the_highest_rank(
    ours: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    payload = single_file(tmp_path / "seed", rng, 16 * KIB, 100_003)
    torrent_id, seed = seeded(ours, oracle, payload)
    ours.call("set_torrent_options", torrent_id=torrent_id, max_connections=2)
    # It counts the one that comes.
    seed.set_max_connections(3)
    sources = [f"127.{at}.{rng.randrange(256)}.{rng.randrange(1, 255)}" for at in range(10, 20)]
    mine = survivors(ours.port, payload.info_hash, sources)
    theirs = survivors(oracle.port, payload.info_hash, sources)
    assert mine == theirs
    rng.shuffle(sources)
    wait_until(lambda: not ours.call("get_peers", torrent_id=torrent_id)["peers"], "all are gone")
    assert survivors(ours.port, payload.info_hash, sources) == mine, "in any order"
