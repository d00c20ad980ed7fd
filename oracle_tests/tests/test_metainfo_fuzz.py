"""Torrent files from chance: our verdict on each, and what we read, is libtorrent's.

Where we differ on purpose, `DEVIATIONS` says so and why; anything else is a failure."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

from harness.fuzz import random_torrent
from harness.metainfo import MAGNET, Refused, read_by_libtorrent, read_by_us, same, verdict
from harness.rpc import Shim

ROUNDS = 4000

Verdict = dict[str, Any] | Refused


def integers(data: bytes, key: bytes = b"") -> list[int]:
    """All that look like one, or those of a key."""
    return [int(digits) for digits in re.findall(re.escape(key) + rb"i(-?\d+)e", data)]


def numbers_beyond_64_bits(data: bytes, theirs: Verdict, ours: Verdict) -> bool:
    """libtorrent takes them for 0 or -1; for us they are no numbers."""
    return any(not -(1 << 63) < number < (1 << 63) for number in integers(data))


def versions_beyond_32_bits(data: bytes, theirs: Verdict, ours: Verdict) -> bool:
    """libtorrent cuts off the upper bits of the meta version; we know no such version."""
    versions = integers(data, b"12:meta version")
    return any(version >= 1 << 31 for version in versions) and isinstance(ours, Refused)


def padding_first(data: bytes, theirs: Verdict, ours: Verdict) -> bool:
    """A torrent whose first file is padding without a path is named after the padding by
    libtorrent, which then mixes that name into its links and into the paths it compares; ours
    keeps its own name."""
    return isinstance(theirs, dict) and isinstance(ours, dict) and theirs["name"] == ".pad"


def shared_paths(files: list[dict[str, Any]]) -> bool:
    """Whether two files that are stored, or padding of two sizes, have one path."""
    owners: dict[str, tuple[bool, int]] = {}
    for file in files:
        this = (file["pad"], file["size"])
        other = owners.setdefault(file["path"].lower(), this)
        if other is not this and not (this == other and file["pad"]):
            return True
    return False


def one_path_for_two_files(data: bytes, theirs: Verdict, ours: Verdict) -> bool:
    """libtorrent does not see that a name is taken by a file that was renamed; we do."""
    if isinstance(theirs, Refused) or isinstance(ours, Refused):
        return False
    return shared_paths(theirs["files"]) and not shared_paths(ours["files"])


def the_folder_of_nameless_padding(data: bytes, theirs: Verdict, ours: Verdict) -> bool:
    """Padding without a path lies in `.pad`, beside the torrent's folder. libtorrent gives a
    file `.pad` in the torrent's folder another name, as if that were the same."""
    if isinstance(theirs, Refused) or isinstance(ours, Refused):
        return False
    outside = any(file["path"].startswith(".pad/") for file in ours["files"])
    renamed = any(file["path"].endswith("/.1.pad") for file in theirs["files"])
    return outside and renamed


def nodes_without_a_port(data: bytes, theirs: Verdict, ours: Verdict) -> bool:
    """libtorrent keeps DHT nodes whose port is none; nobody could be there."""
    if isinstance(theirs, Refused) or isinstance(ours, Refused):
        return False
    possible = [node for node in theirs["nodes"] if 0 < node["port"] < 1 << 16]
    return same(theirs | {"nodes": possible}, ours)


def long_names_of_nothing(data: bytes, theirs: Verdict, ours: Verdict) -> bool:
    """libtorrent does not look at the length of a name after a character that it replaced: it
    makes names that no file system takes."""
    if isinstance(theirs, Refused) or isinstance(ours, Refused):
        return False
    return any(len(it.encode()) > 240 and "_" in it for it in elements(theirs))


def leading_zeros_behind_a_sign(data: bytes, theirs: Verdict, ours: Verdict) -> bool:
    """Where a torrent must be canonical (BEP 52), libtorrent overlooks `i-01e`."""
    return isinstance(ours, Refused) and ours.number == 15 and b"i-0" in data


def zeros_with_digits_to_spare(data: bytes, theirs: Verdict, ours: Verdict) -> bool:
    """libtorrent reads `00:` and `i-0e`; we do not."""
    return isinstance(ours, Refused) and "malformed zero" in str(ours)


def brackets_of_ipv6(data: bytes, theirs: Verdict, ours: Verdict) -> bool:
    """libtorrent loses them when it encodes the path of a web seed."""
    if isinstance(theirs, Refused) or isinstance(ours, Refused):
        return False
    seeds = [seed.replace("://[::1]", "://::1") for seed in ours["web_seeds"]]
    plain = [seed.replace("://[::1]", "://::1") for seed in theirs["web_seeds"]]
    return same(theirs | {"web_seeds": plain}, ours | {"web_seeds": seeds})


def elements(verdict: Verdict) -> list[str]:
    """The names in all paths."""
    if isinstance(verdict, Refused):
        return []
    paths = [verdict["name"], *(file["path"] for file in verdict["files"])]
    return [element for path in paths for element in path.split("/")]


def joiners(data: bytes, theirs: Verdict, ours: Verdict) -> bool:
    """libtorrent takes U+200C and U+200D out of names. Persian, the languages of India and
    emoji are written with them, and files that were made elsewhere are found under their own
    names only."""
    return any("\u200c" in element or "\u200d" in element for element in elements(ours))


def names_in_links(data: bytes, theirs: Verdict, ours: Verdict) -> bool:
    """What a link points to is no name of a file for one of the two, for the joiners in it or
    for its length: as with names."""
    if isinstance(theirs, Refused) or isinstance(ours, Refused):
        return False
    lists = [[file | {"symlink": ""} for file in it["files"]] for it in (theirs, ours)]
    unlinked = same(theirs | {"files": lists[0]}, ours | {"files": lists[1]})
    joined = any(joiner.encode() in data for joiner in "\u200c\u200d")
    return unlinked and (joined or re.search(rb"[^0-9]2[45]\d:", data) is not None)


def names_of_up_to_255_bytes(data: bytes, theirs: Verdict, ours: Verdict) -> bool:
    """libtorrent cuts names at 240 bytes; file systems take 255."""
    return any(240 < len(element.encode()) <= 255 for element in elements(ours))


DEVIATIONS: list[Callable[[bytes, Verdict, Verdict], bool]] = [
    numbers_beyond_64_bits,
    versions_beyond_32_bits,
    padding_first,
    one_path_for_two_files,
    the_folder_of_nameless_padding,
    nodes_without_a_port,
    zeros_with_digits_to_spare,
    brackets_of_ipv6,
    long_names_of_nothing,
    leading_zeros_behind_a_sign,
    joiners,
    names_in_links,
    names_of_up_to_255_bytes,
]


def test_torrents_are_judged_alike(shim: Shim, rng: random.Random) -> None:
    alike = accepted = 0
    for _ in range(ROUNDS):
        data = random_torrent(rng)
        ours = verdict(read_by_us, shim, data)
        try:
            theirs = verdict(read_by_libtorrent, data)
        except UnicodeDecodeError:
            # libtorrent hands on bytes that its Python side cannot tell.
            continue
        if same(theirs, ours):
            alike += 1
            accepted += isinstance(ours, dict)
            continue
        if isinstance(ours, Refused) and ours.number == MAGNET:
            # It has read the link already, and may have refused it.
            assert isinstance(theirs, Refused), data
            continue
        known = any(deviation(data, theirs, ours) for deviation in DEVIATIONS)
        assert known, f"{data!r}\nlibtorrent: {theirs!r}\nours: {ours!r}"
    # Enough of both kinds.
    assert alike > ROUNDS * 0.9
    assert accepted > ROUNDS / 5
