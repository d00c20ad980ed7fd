"""Transfers over IPv6."""

from __future__ import annotations

import random
import socket
from pathlib import Path

import pytest
from harness.oracle import Oracle
from harness.payload import KIB, single_file
from harness.rpc import Shim


def has_ipv6() -> bool:
    """Whether this machine has an IPv6 loopback."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


pytestmark = pytest.mark.skipif(not has_ipv6(), reason="no IPv6 loopback")

LISTEN = {"listen_interfaces": "[::1]:0"}


def test_download(shim: Shim, rng: random.Random, tmp_path: Path) -> None:
    payload = single_file(tmp_path / "seed", rng, 64 * KIB, 2_000_003)
    shim.start_session(settings=LISTEN)
    with Oracle(LISTEN) as oracle:
        oracle.seed(payload.torrent, payload.save_path)
        torrent_id = shim.call(
            "add_torrent_file", path=str(payload.torrent_path), save_path=str(tmp_path / "save")
        )["torrent_id"]
        shim.call("connect_peer", torrent_id=torrent_id, ip="::1", port=oracle.port)
        shim.wait_until_seeding(torrent_id)
        shim.call("flush_cache", torrent_id=torrent_id)
        payload.assert_same(tmp_path / "save")
        oracle.assert_no_errors()


def test_upload(shim: Shim, rng: random.Random, tmp_path: Path) -> None:
    payload = single_file(tmp_path / "seed", rng, 64 * KIB, 2_000_003)
    port = shim.start_session(settings=LISTEN)
    shim.seed(payload)
    with Oracle(LISTEN) as oracle:
        leecher = oracle.add(payload.torrent, tmp_path / "save")
        leecher.connect_peer(("::1", port))
        oracle.wait_for_copy(leecher, payload, tmp_path / "save")
        oracle.assert_no_errors()
