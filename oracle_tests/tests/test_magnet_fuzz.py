"""Magnet links from chance: our verdict on each, what we read, and the link that we make of
it again are libtorrent's.

Where we differ on purpose, `allowed` says so and why; anything else is a failure."""

from __future__ import annotations

import random
import re
from typing import Any
from urllib.parse import unquote

from harness.fuzz import random_magnet
from harness.magnet import read_by_libtorrent, read_by_us
from harness.metainfo import Refused, verdict
from harness.rpc import Shim

ROUNDS = 6000


def values(uri: str, key: str) -> list[str]:
    """The values of a parameter."""
    return re.findall(rf"(?i)(?:\?|&){re.escape(key)}(?:\.\d*)?=([^&]*)", uri)


def spelled_for_libtorrent(uri: str) -> str:
    """The link as libtorrent wants it: we read the scheme and the URNs in any case (RFC 3986,
    8141), and blanks around the link and around a topic, as they come out of mails and
    clipboards."""
    uri = uri.strip()
    if uri[:8].lower() == "magnet:?":
        uri = uri[:8].lower() + uri[8:]

    def topic(found: re.Match[str]) -> str:
        value = re.sub(r"^(?:\+|%20|\s)+|(?:\+|%20|\s)+$", "", found[2])
        urn = re.sub(r"(?i)^urn(?::|%3a)bt[im]h(?::|%3a)", lambda it: it[0].lower(), value)
        return found[1] + urn

    return re.sub(r"(?i)((?:\?|&)xt(?:\.\d*)?=)([^&]*)", topic, uri)


def allowed(uri: str, theirs: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """What libtorrent reads, where we read the same; else what we read on purpose."""
    expected = dict(theirs)
    # Links that other programs wrote have their peers and nodes percent-encoded too;
    # libtorrent takes those for nonsense, or for names. A port is a number: libtorrent takes
    # what begins like one, and for nodes leaves out the last. A node has a name.
    plain = re.compile(r"[^%+]+:\d+")
    if not all(plain.fullmatch(value) for value in values(uri, "x.pe")):
        expected["peers"] = ours["peers"]
    if not all(plain.fullmatch(value) for value in values(uri, "dht")) or ":65535" in uri:
        expected["dht_nodes"] = ours["dht_nodes"]
    # libtorrent reads `0--0` as a range that ends at minus zero.
    if any("--0" in value for value in values(uri, "so")):
        expected["select_only"] = ours["select_only"]
    # Where the first files are chosen and no others, libtorrent's link chooses all.
    chosen = theirs["select_only"]
    whole = chosen is not None and chosen == list(range(len(chosen)))
    if whole or any(expected[name] != theirs[name] for name in expected):
        expected["magnet_uri"] = ours["magnet_uri"]
    return expected


def test_links_are_judged_alike(shim: Shim, rng: random.Random) -> None:
    accepted = 0
    for _ in range(ROUNDS):
        uri = random_magnet(rng)
        ours = verdict(read_by_us, shim, uri)
        try:
            theirs = verdict(read_by_libtorrent, spelled_for_libtorrent(uri))
        except UnicodeDecodeError:
            # libtorrent hands on bytes that its Python side cannot tell.
            continue
        if isinstance(theirs, Refused) or isinstance(ours, Refused):
            assert getattr(theirs, "number", None) == getattr(ours, "number", None), (
                f"{uri}\nlibtorrent: {theirs!r}\nours: {ours!r}"
            )
            continue
        accepted += 1
        expected = allowed(spelled_for_libtorrent(uri), theirs, ours)
        differ = {
            name: (expected[name], ours[name]) for name in ours if ours[name] != expected[name]
        }
        assert not differ, f"{uri}\n{differ}"
        # Nothing is lost when our own link is read again.
        again = read_by_us(shim, ours["magnet_uri"])
        assert again == ours, uri
    assert accepted > ROUNDS / 2


def test_encoded_peers_and_nodes_are_read(shim: Shim) -> None:
    uri = f"magnet:?xt=urn:btih:{'5' * 40}&x.pe=%5B%3a%3a1%5d%3A80&dht=%5b::1%5d:81&dht=a%2db:82"
    answer = read_by_us(shim, uri)
    assert answer["peers"] == ["[::1]:80"]
    assert [unquote(node["host"]) for node in answer["dht_nodes"]] == ["[::1]", "a-b"]


def test_hostile_lengths(shim: Shim) -> None:
    start = f"magnet:?xt=urn:btih:{'5' * 40}"
    for repeated in ["&so=0-10000", "&so=", "&x=", "&xt=urn:x:y", "&tr=udp://a", "&dn=%41"]:
        answer = read_by_us(shim, start + repeated * 20_000)
        assert len(answer["trackers"]) <= 10_000
    assert read_by_us(shim, f"{start}&dn={'a' * 500_000}")["name"] == "a" * 500_000
