"""Encrypted connections (MSE) with libtorrent: every policy, whoever connects."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import libtorrent as lt
import pytest
from harness.meeting import connect
from harness.oracle import Oracle
from harness.payload import KIB, Payload, many_files, single_file
from harness.rpc import Shim
from harness.tracker import Tracker
from harness.waiting import wait_until

FORCED, ENABLED, DISABLED = (
    int(policy) for policy in (lt.enc_policy.forced, lt.enc_policy.enabled, lt.enc_policy.disabled)
)
PLAINTEXT, RC4, BOTH = (
    int(level) for level in (lt.enc_level.pe_plaintext, lt.enc_level.pe_rc4, lt.enc_level.pe_both)
)
METHODS = {PLAINTEXT: "plaintext", RC4: "rc4"}
FLAGS = {"": 0, "plaintext": 1 << 20, "rc4": 1 << 19}
# Connections stay, so that they can be looked at.
STAY = {"close_redundant_connections": False}
UTP_ONLY = {
    "enable_incoming_utp": True,
    "enable_outgoing_utp": True,
    "enable_incoming_tcp": False,
    "enable_outgoing_tcp": False,
}


def policies(incoming: int, outgoing: int, level: int, **more: Any) -> dict[str, Any]:
    return {
        "in_enc_policy": incoming,
        "out_enc_policy": outgoing,
        "allowed_enc_level": level,
        **STAY,
        **more,
    }


def assert_encryption(ours: Shim, handle: lt.torrent_handle, payload: Payload, name: str) -> None:
    """Both sides say that the connection is encrypted in this way."""
    found: list[str] = []

    def is_listed() -> bool:
        peers = ours.call("get_peers", torrent_id=payload.info_hash)["peers"]
        found[:] = [peer["encryption"] for peer in peers]
        return bool(found) and len(handle.get_peer_info()) == 1

    wait_until(is_listed, "the peers are listed")
    assert found == [name]
    flags = handle.get_peer_info()[0].flags
    assert {method: flags & flag for method, flag in FLAGS.items() if flag} == {
        method: flag if method == name else 0 for method, flag in FLAGS.items() if flag
    }


def transfer(
    ours: Shim, oracle: Oracle, payload: Payload, save_path: Path, caller: str, encryption: str
) -> None:
    """Downloads from libtorrent, whoever connects."""
    handle = oracle.seed(payload.torrent, payload.save_path)
    torrent_id = ours.add(payload, save_path)
    connect(ours, oracle, handle, payload, caller)
    ours.wait_until_seeding(torrent_id)
    ours.call("flush_cache", torrent_id=torrent_id)
    payload.assert_same(save_path)
    assert_encryption(ours, handle, payload, encryption)


@pytest.mark.parametrize("caller", ["ours", "theirs"])
@pytest.mark.parametrize("level", [PLAINTEXT, RC4, BOTH], ids=["plaintext", "rc4", "both"])
@pytest.mark.parametrize("called", [FORCED, ENABLED], ids=["forced", "enabled"])
def test_a_caller_that_encrypts(
    shim: Shim, rng: random.Random, tmp_path: Path, caller: str, called: int, level: int
) -> None:
    payload = single_file(tmp_path / "seed", rng, 64 * KIB, 500_003)
    calling, answering = policies(DISABLED, FORCED, level), policies(called, DISABLED, BOTH)
    mine, its = (calling, answering) if caller == "ours" else (answering, calling)
    shim.start_session(settings=mine)
    # Where it may choose, it chooses plaintext.
    expected = METHODS.get(level, "plaintext")
    with Oracle(its) as oracle:
        transfer(shim, oracle, payload, tmp_path / "save", caller, expected)


@pytest.mark.parametrize("caller", ["ours", "theirs"])
@pytest.mark.parametrize("prefer", [False, True], ids=["plaintext", "rc4"])
def test_who_is_called_chooses(
    shim: Shim, rng: random.Random, tmp_path: Path, caller: str, prefer: bool
) -> None:
    payload = many_files(tmp_path / "seed", rng, 64 * KIB)
    calling = policies(DISABLED, FORCED, BOTH, prefer_rc4=not prefer)
    answering = policies(FORCED, DISABLED, BOTH, prefer_rc4=prefer)
    mine, its = (calling, answering) if caller == "ours" else (answering, calling)
    shim.start_session(settings=mine)
    with Oracle(its) as oracle:
        expected = "rc4" if prefer else "plaintext"
        transfer(shim, oracle, payload, tmp_path / "save", caller, expected)


@pytest.mark.parametrize("caller", ["ours", "theirs"])
@pytest.mark.parametrize("called", [FORCED, ENABLED, DISABLED])
def test_a_caller_that_may_encrypt(
    shim: Shim, rng: random.Random, tmp_path: Path, caller: str, called: int
) -> None:
    """It encrypts with those that take nothing else."""
    payload = single_file(tmp_path / "seed", rng, 64 * KIB, 500_003)
    calling, answering = policies(DISABLED, ENABLED, BOTH), policies(called, DISABLED, BOTH)
    mine, its = (calling, answering) if caller == "ours" else (answering, calling)
    shim.start_session(settings=mine)
    with Oracle(its) as oracle:
        # libtorrent takes it that a peer named by hand encrypts.
        encrypts = called == FORCED or (called == ENABLED and caller == "theirs")
        expected = "plaintext" if encrypts else ""
        transfer(shim, oracle, payload, tmp_path / "save", caller, expected)


@pytest.mark.parametrize("caller", ["ours", "theirs"])
def test_over_utp(shim: Shim, rng: random.Random, tmp_path: Path, caller: str) -> None:
    payload = single_file(tmp_path / "seed", rng, 64 * KIB, 500_003)
    settings = policies(FORCED, FORCED, RC4, **UTP_ONLY)
    shim.start_session(settings=settings)
    with Oracle(settings) as oracle:
        transfer(shim, oracle, payload, tmp_path / "save", caller, "rc4")


@pytest.mark.parametrize("caller", ["ours", "theirs"])
@pytest.mark.parametrize(
    ("calling", "answering"),
    [
        ((DISABLED, BOTH), (FORCED, BOTH)),
        ((FORCED, BOTH), (DISABLED, BOTH)),
        ((FORCED, PLAINTEXT), (FORCED, RC4)),
    ],
    ids=["plain-to-forced", "forced-to-disabled", "levels"],
)
def test_what_does_not_fit_is_refused(
    shim: Shim,
    rng: random.Random,
    tmp_path: Path,
    caller: str,
    calling: tuple[int, int],
    answering: tuple[int, int],
) -> None:
    payload = single_file(tmp_path / "seed", rng, 64 * KIB, 100_003)
    call = policies(DISABLED, calling[0], calling[1])
    answer = policies(answering[0], DISABLED, answering[1])
    mine, its = (call, answer) if caller == "ours" else (answer, call)
    shim.start_session(settings=mine)
    with Oracle(its) as oracle:
        handle = oracle.seed(payload.torrent, payload.save_path)
        shim.add(payload, tmp_path / "save")
        connect(shim, oracle, handle, payload, caller)
        shim.wait_for_alert("peer_disconnected" if caller == "ours" else "peer_error")
        assert shim.call("get_peers", torrent_id=payload.info_hash)["peers"] == []


@pytest.mark.parametrize("policy", [FORCED, ENABLED, DISABLED])
@pytest.mark.parametrize("announced", [False, True])
def test_trackers_are_told_as_by_libtorrent(
    shim: Shim, rng: random.Random, tmp_path: Path, policy: int, announced: bool
) -> None:
    payload = single_file(tmp_path / "seed", rng, 64 * KIB, 100_003)
    settings = {"in_enc_policy": policy, "announce_crypto_support": announced}
    said = []
    with Tracker() as tracker, Oracle(settings) as oracle:
        shim.start_session(settings=settings)
        shim.seed(payload)
        shim.call("add_tracker", torrent_id=payload.info_hash, url=tracker.url)
        oracle.seed(payload.torrent, payload.save_path).add_tracker({"url": tracker.url})
        for port in (shim.port, oracle.port):
            wait_until(lambda port=port: tracker.announces_of(port), "both have announced")
            said.append(tracker.announces_of(port)[0].supports_encryption)
    assert said == [announced and policy != DISABLED] * 2
