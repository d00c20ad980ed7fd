"""Peers that send wrong bytes: they are found out and banned, and nobody else is."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from harness.oracle import Oracle
from harness.payload import KIB, Payload, single_file
from harness.rpc import Shim
from harness.waiting import wait_until

PIECE = 64 * KIB
LIAR = "127.0.0.66"


@pytest.fixture
def payload(tmp_path: Path, rng: random.Random) -> Payload:
    """Sixty pieces of four blocks."""
    return single_file(tmp_path / "payload", rng, PIECE, 60 * PIECE)


def at(address: str, **settings: object) -> Oracle:
    """A libtorrent at an address of its own: bans go by address."""
    return Oracle(
        {
            "listen_interfaces": f"{address}:0",
            "outgoing_interfaces": address,
            # All bytes come slowly enough that everybody gets to send some.
            "upload_rate_limit": 1_500_000,
        }
        | settings
    )


def seed_lies(oracle: Oracle, payload: Payload, folder: Path, every: int) -> None:
    """Seeds a copy that gets a wrong byte in every so many blocks when libtorrent has checked
    it: in seed mode it would look at each piece before it sends it."""
    folder.mkdir()
    content = bytearray(payload.root.read_bytes())
    path = folder / payload.root.name
    path.write_bytes(content)
    oracle.seed(payload.torrent, folder)
    with path.open("r+b") as file:
        for begin in range(0, len(content), every * 16 * KIB):
            file.seek(begin + 100)
            file.write(bytes([content[begin + 100] ^ 1]))


def add(shim: Shim, payload: Payload, folder: Path) -> None:
    """Begins the download."""
    shim.call("add_torrent_file", path=str(payload.torrent_path), save_path=str(folder))


def test_a_liar_among_honest_seeds_is_banned(ours: Shim, payload: Payload, tmp_path: Path) -> None:
    with ExitStack() as stack:
        liar = stack.enter_context(at(LIAR))
        seed_lies(liar, payload, tmp_path / "lies", 4)
        honest = [stack.enter_context(at(f"127.0.0.{10 + number}")) for number in range(3)]
        seeds = [oracle.seed(payload.torrent, payload.save_path) for oracle in honest]
        for seed in seeds:
            # Nothing is over before the liar had its turn.
            seed.set_upload_limit(30_000)
        add(ours, payload, tmp_path / "ours")
        ours.call("connect_peer", torrent_id=payload.info_hash, ip=LIAR, port=liar.port)
        for number, oracle in enumerate(honest):
            ours.call(
                "connect_peer",
                torrent_id=payload.info_hash,
                ip=f"127.0.0.{10 + number}",
                port=oracle.port,
            )
        banned = ours.call("wait_for_alert", type_name="ip_ban", timeout_ms=60_000)["alert"]
        assert banned["banned_address"] == LIAR
        for seed in seeds:
            seed.set_upload_limit(-1)
        status = ours.wait_until_seeding(payload.info_hash)
        assert status["total_failed_bytes"] > 0
        ours.call("flush_cache", torrent_id=payload.info_hash)
        payload.assert_same(tmp_path / "ours")
        alerts = ours.call("get_alerts")["alerts"]
        assert not [alert for alert in alerts if alert["type_name"] == "ip_ban"]
        by_name = {alert["type_name"]: alert for alert in alerts}
        assert by_name["peer_ban"]["peer_ip"] == LIAR
        assert "hash_failed" in by_name


def test_a_swarm_of_liars_is_given_up(ours: Shim, payload: Payload, tmp_path: Path) -> None:
    with ExitStack() as stack:
        liars = []
        add(ours, payload, tmp_path / "ours")
        for number in range(3):
            address = f"127.0.0.{70 + number}"
            liar = stack.enter_context(at(address))
            seed_lies(liar, payload, tmp_path / address, 1)
            ours.call("connect_peer", torrent_id=payload.info_hash, ip=address, port=liar.port)
            liars.append(address)
        found = {
            ours.call("wait_for_alert", type_name="ip_ban", timeout_ms=60_000)["alert"][
                "banned_address"
            ]
            for _ in liars
        }
        assert found == set(liars)
        wait_until(
            lambda: not ours.call("get_peers", torrent_id=payload.info_hash)["peers"], "alone"
        )
        stats = ours.call("get_engine_stats")["stats"]
        assert stats["ses.num_piece_passed"] == 0
        assert stats["peer.banned_for_hash_failure"] == 3


def test_a_banned_peer_stays_out(
    start_shim: Callable[..., Shim], payload: Payload, tmp_path: Path
) -> None:
    shim = start_shim()
    port = shim.start_session()
    with at(LIAR) as liar, at("127.0.0.10") as other:
        other.seed(payload.torrent, payload.save_path)
        add(shim, payload, tmp_path / "ours")
        shim.call("ban_peer", ip=LIAR)
        banned = shim.call("wait_for_alert", type_name="ip_ban", timeout_ms=60_000)["alert"]
        assert banned["banned_address"] == LIAR
        # It calls from whatever port, and is called.
        handle = liar.add(payload.torrent, payload.save_path, seed_mode=True)
        handle.connect_peer(("127.0.0.1", port))
        blocked = shim.call("wait_for_alert", type_name="peer_blocked", timeout_ms=60_000)
        assert (blocked["alert"]["peer_ip"], blocked["alert"]["reason"]) == (LIAR, 0)
        shim.call("connect_peer", torrent_id=payload.info_hash, ip="127.0.0.10", port=other.port)
        shim.wait_until_seeding(payload.info_hash)


def test_the_ip_filter_holds_for_all_directions(
    start_shim: Callable[..., Shim], payload: Payload, tmp_path: Path
) -> None:
    shim = start_shim()
    port = shim.start_session()
    torrent = payload.info_hash
    with at("127.0.0.20") as one, at("127.0.0.30", upload_rate_limit=100_000) as other:
        one.add(payload.torrent, payload.save_path, seed_mode=True)
        other.add(payload.torrent, payload.save_path, seed_mode=True)
        add(shim, payload, tmp_path / "ours")
        shim.call("connect_peer", torrent_id=torrent, ip="127.0.0.30", port=other.port)
        wait_until(lambda: shim.call("get_peers", torrent_id=torrent)["peers"], "connected")
        # A connection that is open is closed.
        rules = [
            {"range": "127.0.0.16/28", "blocked": True},
            {"range": "127.0.0.30 - 127.0.0.40", "blocked": True},
        ]
        shim.call("set_ip_filter", rules=rules)
        wait_until(lambda: not shim.call("get_peers", torrent_id=torrent)["peers"], "closed")
        # None is made, none is taken in.
        shim.call("get_alerts")
        shim.call("connect_peer", torrent_id=torrent, ip="127.0.0.20", port=one.port)
        blocked = shim.call("wait_for_alert", type_name="peer_blocked", timeout_ms=60_000)
        assert blocked["alert"]["reason"] == 0
        handle = one.add(payload.torrent, payload.save_path)
        handle.connect_peer(("127.0.0.1", port))
        shim.call("wait_for_alert", type_name="peer_blocked", timeout_ms=60_000)
        assert not shim.call("get_peers", torrent_id=torrent)["peers"]
        # The torrent may be let off.
        shim.call("set_torrent_options", torrent_id=torrent, apply_ip_filter=False)
        shim.call("connect_peer", torrent_id=torrent, ip="127.0.0.20", port=one.port)
        shim.wait_until_seeding(torrent)


def test_lists_of_other_clients_are_read(ours: Shim, tmp_path: Path) -> None:
    path = tmp_path / "guarding.p2p"
    path.write_text("# a comment\nsomebody: else:10.0.0.0-10.255.255.255\nnonsense\n")
    loaded = ours.call("load_ip_filter", path=str(path))
    assert (loaded["ranges"], loaded["errors"]) == (1, 1)
