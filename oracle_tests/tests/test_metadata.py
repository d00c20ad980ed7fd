"""Metadata from peers, both ways: libtorrent's to us, ours to libtorrent, and from and to
peers that lie, refuse and flood."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Callable
from pathlib import Path

import libtorrent as lt
import pytest
from harness.oracle import Oracle
from harness.payload import KIB, Payload, describe, many_files, single_file
from harness.peer import (
    ALLOWED_FAST,
    HAVE_ALL,
    HAVE_NONE,
    INTERESTED,
    PIECE,
    REJECT,
    REQUEST,
    RESERVED,
    Peer,
)
from harness.rpc import Shim

METADATA_PIECE = 16 * KIB
OUR_NUMBER = 2  # Of ut_metadata.


def link_to(payload: Payload, more: str = "") -> str:
    return f"magnet:?xt=urn:btih:{payload.info_hash}&dn=..%2f..%2fevil{more}"


def info_dict(payload: Payload) -> bytes:
    return lt.bencode(lt.bdecode(payload.torrent)[b"info"])


@pytest.fixture
def ours(shim: Shim) -> Shim:
    """A shim with a session that takes many calls from one address."""
    shim.start_session(settings={"max_connections_per_ip": 0})
    return shim


@pytest.fixture
def big(rng: random.Random, tmp_path: Path) -> Payload:
    """A payload whose info dict has several pieces."""
    payload = single_file(tmp_path / "seed", rng, 16 * KIB, 40_000_003)
    assert len(info_dict(payload)) > 2 * METADATA_PIECE
    return payload


def seed_with_ours(ours: Shim, payload: Payload) -> int:
    """Seeds the payload; returns the port."""
    ours.seed(payload)
    return ours.port


def test_we_fetch_from_libtorrent(ours: Shim, oracle: Oracle, big: Payload, tmp_path: Path) -> None:
    oracle.seed(big.torrent, big.save_path)
    save_path = tmp_path / "save"
    uri = link_to(big, f"&x.pe=127.0.0.1:{oracle.port}")
    torrent_id = ours.call("add_magnet_uri", uri=uri, save_path=str(save_path))["torrent_id"]
    assert torrent_id == big.info_hash
    ours.wait_for_alert("metadata_received", torrent_id)
    ours.wait_for_alert("torrent_finished", torrent_id)
    status = ours.wait_until_seeding(torrent_id)
    assert status["name"] == "single.bin"
    ours.call("flush_cache", torrent_id=torrent_id)
    big.assert_same(save_path)
    peers = ours.call("get_peers", torrent_id=torrent_id)["peers"]
    assert all("libtorrent" in peer["client"] for peer in peers)
    oracle.assert_no_errors()


def test_libtorrent_fetches_from_us(
    ours: Shim, oracle: Oracle, big: Payload, tmp_path: Path
) -> None:
    seed_with_ours(ours, big)
    save_path = tmp_path / "save"
    handle = oracle.add_magnet(link_to(big), save_path)
    handle.connect_peer(("127.0.0.1", ours.port))
    oracle.wait_for("metadata_received")
    oracle.wait_for("torrent_finished")
    oracle.wait_for_copy(handle, big, save_path)
    oracle.assert_no_errors()


def test_several_peers_and_a_selection_of_files(
    start_shim: Callable[..., Shim], oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    sizes = {"a": 100_000, "b/c": 70_000, "d": 300_000}
    payload = many_files(tmp_path / "seed", rng, 16 * KIB, sizes)
    oracle.seed(payload.torrent, payload.save_path)
    other = start_shim()
    other.start_session()
    seed_with_ours(other, payload)
    ours = start_shim()
    ours.start_session()
    save_path = tmp_path / "save"
    uri = link_to(payload, f"&so=1&x.pe=127.0.0.1:{oracle.port}&x.pe=127.0.0.1:{other.port}")
    ours.call("add_magnet_uri", uri=uri, save_path=str(save_path))
    ours.wait_for_alert("torrent_finished", payload.info_hash)
    priorities = ours.call("get_file_priorities", torrent_id=payload.info_hash)["array"]
    assert priorities == [0, 4, 0]
    ours.call("flush_cache", torrent_id=payload.info_hash)
    assert (save_path / "many/b/c").read_bytes() == (payload.root / "b/c").read_bytes()


def test_what_is_asked_before_the_metadata_is_refused_by_name(ours: Shim, tmp_path: Path) -> None:
    torrent_id = "0123456789abcdef0123456789abcdef01234567"
    uri = f"magnet:?xt=urn:btih:{torrent_id}&dn=../x"
    ours.call("add_magnet_uri", uri=uri, save_path=str(tmp_path / "save"))
    status = ours.wait_for_status(torrent_id, "downloading_metadata", lambda it: it["state"] == 2)
    assert not status["has_metadata"]
    assert status["name"] == "../x"
    assert ours.refuse("read_piece", torrent_id=torrent_id, piece=0).code == 206
    assert ours.refuse("get_torrent_info", torrent_id=torrent_id).code == 206
    assert ours.refuse("force_recheck", torrent_id=torrent_id).code == 206
    assert not (tmp_path / "save").exists()
    ours.call("remove_torrent", torrent_id=torrent_id, delete_files=True)


def test_liars_do_not_keep_us_from_an_honest_peer(
    ours: Shim, oracle: Oracle, big: Payload, tmp_path: Path
) -> None:
    truth = info_dict(big)
    ours.call("add_magnet_uri", uri=link_to(big), save_path=str(tmp_path / "save"))
    lies = [bytes(len(truth)), bytes(20), truth[:-1] + b"x"]
    liars = []
    for lie in lies:
        liar = Peer.connect(ours.port, big.info_hash)
        liar.extended(0, {b"m": {b"ut_metadata": 5}, b"metadata_size": len(lie)})
        liars.append(liar)
    # One lies so often that it is found out.
    alone = liars[1]
    request, _ = alone.wait_for_extended(5)
    assert request[b"msg_type"] == 0
    answer = {b"msg_type": 1, b"piece": request[b"piece"], b"total_size": 20}
    alone.extended(OUR_NUMBER, answer, bytes(20))
    alone.wait_until_closed()
    ours.wait_for_alert("metadata_failed", big.info_hash)
    oracle.seed(big.torrent, big.save_path)
    ours.call("connect_peer", torrent_id=big.info_hash, ip="127.0.0.1", port=oracle.port)
    ours.wait_for_alert("torrent_finished", big.info_hash)
    for liar in liars:
        liar.__exit__(None, None, None)


def test_metadata_that_is_refused_is_fetched_again_after_clear_error(
    ours: Shim, oracle: Oracle, big: Payload, tmp_path: Path
) -> None:
    oracle.seed(big.torrent, big.save_path)
    ours.call("apply_settings", settings={"max_piece_count": 100})
    uri = link_to(big, f"&x.pe=127.0.0.1:{oracle.port}")
    torrent_id = ours.call("add_magnet_uri", uri=uri, save_path=str(tmp_path / "save"))[
        "torrent_id"
    ]
    for _ in range(2):
        ours.wait_for_alert("metadata_failed", torrent_id)
        ours.wait_for_alert("torrent_error", torrent_id)
        status = ours.status(torrent_id)
        assert status["error"] != ""
        assert not status["has_metadata"]
        ours.call("clear_error", torrent_id=torrent_id)
    ours.wait_for_alert("torrent_error", torrent_id)
    ours.call("apply_settings", settings={"max_piece_count": 100_000})
    ours.call("clear_error", torrent_id=torrent_id)
    ours.wait_for_alert("torrent_finished", torrent_id)
    assert ours.status(torrent_id)["error"] == ""
    oracle.assert_no_errors()


def test_hostile_sizes_and_messages_close_the_peer_and_nothing_else(
    ours: Shim, big: Payload, tmp_path: Path
) -> None:
    ours.call("add_magnet_uri", uri=link_to(big), save_path=str(tmp_path / "save"))
    deep = b"d1:x" + b"l" * 5000 + b"e" * 5001
    payloads = [
        b"\x00" + lt.bencode({b"m": {b"ut_metadata": 5}, b"metadata_size": 2**31 - 1}),
        b"\x00" + deep,
        b"\x00" + b"i1e",
        b"\x00" + b"d1:v100000:" + b"x" * 100_000 + b"e",
        bytes([OUR_NUMBER]) + b"d8:msg_typei1e5:piecei0ee" + bytes(17 * KIB),
        bytes([OUR_NUMBER]) + b"nonsense",
        bytes([7, 0, 0]),
        bytes([3]),
    ]
    for payload in payloads:
        with Peer.connect(ours.port, big.info_hash) as peer:
            peer.wait_for(HAVE_NONE)
            with contextlib.suppress(ConnectionError):
                # The first bytes of it may be enough.
                peer.send(20, payload=payload)
            peer.wait_until_closed()
    harmless = [
        {b"m": {b"ut_metadata": 300, b"lt_donthave": -1}, b"reqq": -5, b"p": 99999},
        {b"m": {b"ut_metadata": 1, b"upload_only": 1}, b"metadata_size": -1, b"v": b"\x00\x1b"},
        {b"m": b"none", b"yourip": b"abc", b"ipv6": b""},
    ]
    for content in harmless:
        with Peer.connect(ours.port, big.info_hash) as peer:
            peer.extended(0, content)
            peer.wait_for_extended(0)
            peer.extended(0, content)
    assert ours.status(big.info_hash)["state"] == 2


def test_a_flood_of_requests_is_answered_within_bounds(ours: Shim, big: Payload) -> None:
    seed_with_ours(ours, big)
    truth = info_dict(big)
    with Peer.connect(ours.port, big.info_hash) as peer:
        hello, _ = peer.wait_for_extended(0)
        assert hello[b"metadata_size"] == len(truth)
        assert hello[b"reqq"] == 2000
        assert hello[b"yourip"] == bytes([127, 0, 0, 1])
        assert hello[b"v"].startswith(b"godot-torrent/")
        number = hello[b"m"][b"ut_metadata"]
        peer.extended(0, {b"m": {b"ut_metadata": 9}})
        got = b""
        for piece in range(-(-len(truth) // METADATA_PIECE)):
            peer.extended(number, {b"msg_type": 0, b"piece": piece})
            answer, data = peer.wait_for_extended(9)
            assert (answer[b"msg_type"], answer[b"total_size"]) == (1, len(truth))
            got += data
        assert got == truth
        peer.extended(number, {b"msg_type": 0, b"piece": 10_000})
        refused, _ = peer.wait_for_extended(9)
        assert (refused[b"msg_type"], refused[b"piece"]) == (2, 10_000)
        try:
            for _ in range(10_000):
                peer.extended(number, {b"msg_type": 0, b"piece": 0})
        except ConnectionError:
            pass
        peer.wait_until_closed()
    assert ours.status(big.info_hash)["is_seeding"]


def test_a_private_torrent_keeps_its_metadata(
    ours: Shim, rng: random.Random, tmp_path: Path
) -> None:
    root = single_file(tmp_path / "seed", rng, 16 * KIB, 100_000).root
    payload = describe(root, 16 * KIB, private=True)
    seed_with_ours(ours, payload)
    with Peer.connect(ours.port, payload.info_hash) as peer:
        hello, _ = peer.wait_for_extended(0)
        assert b"metadata_size" not in hello
        assert b"ut_metadata" not in hello[b"m"]


def test_every_request_is_answered_by_a_peer_with_the_fast_extension(
    ours: Shim, rng: random.Random, tmp_path: Path
) -> None:
    payload = single_file(tmp_path / "seed", rng, 16 * KIB, 20 * 16 * KIB)
    seed_with_ours(ours, payload)
    with Peer.connect(ours.port, payload.info_hash) as peer:
        assert peer.reserved[7] & 4
        assert peer.reserved[5] & 0x10
        peer.wait_for(HAVE_ALL)
        allowed = [int.from_bytes(peer.wait_for(ALLOWED_FAST)) for _ in range(5)]
        peer.send(HAVE_NONE)
        # Choked: allowed pieces are served, others refused.
        other = next(piece for piece in range(20) if piece not in allowed)
        peer.send(REQUEST, allowed[0], 0, 16 * KIB)
        assert int.from_bytes(peer.wait_for(PIECE)[:4]) == allowed[0]
        peer.send(REQUEST, other, 0, 16 * KIB)
        assert int.from_bytes(peer.wait_for(REJECT)[:4]) == other
        # Even those that make no sense.
        peer.send(INTERESTED)
        peer.wait_for(1)
        peer.send(REQUEST, 99, 0, 16 * KIB)
        assert int.from_bytes(peer.wait_for(REJECT)[:4]) == 99
        peer.send(REQUEST, other, 0, 16 * KIB)
        assert int.from_bytes(peer.wait_for(PIECE)[:4]) == other


def test_fast_messages_without_the_extension_close_the_peer(
    ours: Shim, rng: random.Random, tmp_path: Path
) -> None:
    payload = single_file(tmp_path / "seed", rng, 16 * KIB, 100_000)
    seed_with_ours(ours, payload)
    plain = bytes(8)
    with Peer.connect(ours.port, payload.info_hash, plain) as peer:
        peer.send(HAVE_ALL)
        peer.wait_until_closed()
    with Peer.connect(ours.port, payload.info_hash, RESERVED) as peer:
        peer.send(HAVE_ALL)
        peer.send(HAVE_NONE)
        peer.send(ALLOWED_FAST, 2**32 - 1)
        peer.send(INTERESTED)
        peer.wait_for(1)


def test_we_ask_for_allowed_pieces_while_choked(
    ours: Shim, rng: random.Random, tmp_path: Path
) -> None:
    payload = single_file(tmp_path / "seed", rng, 16 * KIB, 20 * 16 * KIB)
    content = (payload.root).read_bytes()
    ours.call("add_torrent_file", path=str(payload.torrent_path), save_path=str(tmp_path / "save"))
    ours.wait_for_alert("torrent_checked", payload.info_hash)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours.call(
            "connect_peer",
            torrent_id=payload.info_hash,
            ip="127.0.0.1",
            port=listener.getsockname()[1],
        )
        with Peer.accept(listener, payload.info_hash) as peer:
            peer.send(HAVE_ALL)
            peer.send(ALLOWED_FAST, 7)
            request = peer.wait_for(REQUEST)
            assert int.from_bytes(request[:4]) == 7
            data = content[7 * 16 * KIB : 8 * 16 * KIB]
            peer.send(PIECE, 7, 0, payload=data)
            ours.wait_for_alert("piece_finished", payload.info_hash)
            # What is refused is asked for again, once we may.
            peer.send(1)
            first = peer.wait_for(REQUEST)
            peer.send(REJECT, payload=first)
            refused = int.from_bytes(first[:4])
            while (piece := int.from_bytes(peer.wait_for(REQUEST)[:4])) != refused:
                data = content[piece * 16 * KIB : (piece + 1) * 16 * KIB]
                peer.send(PIECE, piece, 0, payload=data)
