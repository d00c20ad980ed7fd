"""Transfers with libtorrent over uTP alone: whoever seeds, and whoever connects."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import libtorrent as lt
import pytest
from harness.meeting import connect
from harness.oracle import Oracle
from harness.payload import KIB, Payload, many_files, single_file
from harness.rpc import Shim
from harness.waiting import wait_until

UTP_ONLY = {
    "enable_incoming_utp": True,
    "enable_outgoing_utp": True,
    "enable_incoming_tcp": False,
    "enable_outgoing_tcp": False,
}
# libtorrent's flag of connections over uTP, which its Python module does not name.
UTP_SOCKET = 1 << 17
# Connections stay, so that they can be looked at.
STAY = {"close_redundant_connections": False}


@pytest.fixture
def ours(shim: Shim) -> Shim:
    """A session of ours over uTP."""
    shim.start_session(settings=UTP_ONLY | STAY)
    return shim


@pytest.fixture
def oracle() -> Iterator[Oracle]:
    """A session of libtorrent's over uTP."""
    with Oracle(UTP_ONLY | STAY) as oracle:
        yield oracle


def assert_utp(ours: Shim, oracle: Oracle, handle: lt.torrent_handle, payload: Payload) -> None:
    """Both sides say that the connection is one of uTP, and nobody found a fault."""
    carriers: list[str] = []

    def is_listed() -> bool:
        peers = ours.call("get_peers", torrent_id=payload.info_hash)["peers"]
        carriers[:] = [peer["connection_type"] for peer in peers]
        return bool(carriers)

    wait_until(is_listed, "our peer is listed")
    assert carriers == ["utp"]
    assert [peer.flags & UTP_SOCKET for peer in handle.get_peer_info()] == [UTP_SOCKET]
    oracle.assert_no_errors()


def download(ours: Shim, payload: Payload, save_path: Path, by_magnet: bool) -> None:
    """Adds the payload to our session, without its files."""
    if by_magnet:
        uri = f"magnet:?xt=urn:btih:{payload.info_hash}"
        ours.call("add_magnet_uri", uri=uri, save_path=str(save_path))
    else:
        ours.call("add_torrent_file", path=str(payload.torrent_path), save_path=str(save_path))


@pytest.mark.parametrize("by_magnet", [False, True], ids=["torrent", "magnet"])
@pytest.mark.parametrize("caller", ["ours", "theirs"])
def test_download(
    ours: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path, caller: str, by_magnet: bool
) -> None:
    payload = many_files(tmp_path / "seed", rng, 64 * KIB)
    handle = oracle.seed(payload.torrent, payload.save_path)
    download(ours, payload, tmp_path / "save", by_magnet)
    connect(ours, oracle, handle, payload, caller)
    ours.wait_until_seeding(payload.info_hash)
    assert_utp(ours, oracle, handle, payload)
    ours.call("flush_cache", torrent_id=payload.info_hash)
    payload.assert_same(tmp_path / "save")


@pytest.mark.parametrize("by_magnet", [False, True], ids=["torrent", "magnet"])
@pytest.mark.parametrize("caller", ["ours", "theirs"])
def test_upload(
    ours: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path, caller: str, by_magnet: bool
) -> None:
    payload = many_files(tmp_path / "seed", rng, 64 * KIB)
    ours.seed(payload)
    if by_magnet:
        uri = f"magnet:?xt=urn:btih:{payload.info_hash}"
        handle = oracle.add_magnet(uri, tmp_path / "save")
    else:
        handle = oracle.add(payload.torrent, tmp_path / "save")
    connect(ours, oracle, handle, payload, caller)
    oracle.wait_for_copy(handle, payload, tmp_path / "save")
    assert_utp(ours, oracle, handle, payload)
    assert handle.status().total_failed_bytes == 0


@pytest.mark.parametrize("seeder", ["ours", "theirs"])
def test_a_large_file(
    ours: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path, seeder: str
) -> None:
    payload = single_file(tmp_path / "seed", rng, 256 * KIB, 20_000_003)
    if seeder == "ours":
        ours.seed(payload)
        handle = oracle.add(payload.torrent, tmp_path / "save")
        connect(ours, oracle, handle, payload, "theirs")
        oracle.wait_for_copy(handle, payload, tmp_path / "save")
    else:
        handle = oracle.seed(payload.torrent, payload.save_path)
        download(ours, payload, tmp_path / "save", by_magnet=False)
        connect(ours, oracle, handle, payload, "ours")
        ours.wait_until_seeding(payload.info_hash)
        ours.call("flush_cache", torrent_id=payload.info_hash)
        payload.assert_same(tmp_path / "save")
    assert_utp(ours, oracle, handle, payload)


@pytest.mark.parametrize("leaver", ["ours", "theirs"])
def test_an_end_in_mid_transfer_reaches_the_other_side(
    ours: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path, leaver: str
) -> None:
    payload = single_file(tmp_path / "seed", rng, 64 * KIB, 8_000_003)
    ours.call("apply_settings", settings={"upload_rate_limit": 500_000})
    ours.seed(payload)
    handle = oracle.add(payload.torrent, tmp_path / "save")
    connect(ours, oracle, handle, payload, "theirs")
    ours.wait_for_status(
        payload.info_hash, "it is under way", lambda status: status["total_payload_upload"] > 0
    )
    if leaver == "ours":
        ours.call("remove_torrent", torrent_id=payload.info_hash)
        oracle.wait_for("peer_disconnected")
    else:
        oracle.session.remove_torrent(handle)
        ours.wait_for_alert("peer_disconnected", payload.info_hash)
    oracle.assert_no_errors()
