"""Torrent files and magnet links as libtorrent reads them and as we do, in one form to compare.

A refusal is the number of libtorrent's error (`errors::error_code_enum`), which stands behind
each of our messages too."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import libtorrent as lt

from harness.rpc import Shim

# libtorrent has a category of its own for bencode.
BDECODE = "bdecode"
# It reads the link in a torrent file at once; we leave that to whoever adds it.
MAGNET = "magnet"

# What our messages say, and which error of libtorrent says the same.
REASONS: list[tuple[str, int | str]] = [
    ("not a torrent file: ", BDECODE),
    ("the torrent file is not a dict", 3),
    ("the torrent file has no info dict", 4),
    ("missing or invalid piece length", 6),
    ("missing or invalid name", 7),
    (r"file \d+ has no path", 7),
    (r"file \d+ has an invalid path", 8),
    (r"file \d+ has a missing or invalid length", 9),
    ("the torrent has no content", 9),
    ("the torrent is too large", 9),
    (r"file \d+ is malformed", 10),
    ("the torrent has no piece hashes", 11),
    ("the piece hashes take", 12),
    ("the torrent has too many pieces", 13),
    ("the info dict is not canonical bencode", 15),
    ("the torrent has no files", 16),
    ("holds a magnet link", MAGNET),
    ("malformed percent-encoding", 17),
    ("the magnet link has no info hash", 22),
    ("not a magnet link", 24),
    ("invalid info hash", 39),
    ("the torrent file is too large", 100),
    ("unknown torrent version", 210),
    ("a torrent of meta version 2 has no file tree", 211),
    ("a file tree but no meta version", 212),
    ("too many files have the same name", 145),
    (r"file \d+ is nested too deep", 219),
]


class Refused(Exception):
    """A torrent or a link was not accepted."""

    def __init__(self, number: int | str, message: str) -> None:
        super().__init__(f"{number}: {message}")
        self.number = number


def refusal_of_libtorrent(error: RuntimeError) -> Refused:
    """The number in libtorrent's exception."""
    message = str(error)
    found = re.search(r"\[(\w+):(\d+)\]$", message)
    assert found, message
    category, number = found.groups()
    return Refused(BDECODE if category == "bdecode" else int(number), message)


def our_refusal(message: str) -> Refused:
    """The number of libtorrent's error that says what our message says."""
    numbers = [number for pattern, number in REASONS if re.search(pattern, message)]
    assert len(numbers) == 1, f"{numbers} for {message!r}"
    return Refused(numbers[0], message)


def read_by_libtorrent(data: bytes | Path) -> dict[str, Any]:
    """What libtorrent reads, by the names of our answers; raises `Refused`."""
    load = lt.load_torrent_buffer if isinstance(data, bytes) else lt.load_torrent_file
    try:
        params = load(data if isinstance(data, bytes) else str(data))
    except RuntimeError as error:
        raise refusal_of_libtorrent(error) from None
    ti = params.ti
    if ti is None:
        raise Refused(MAGNET, params.name)
    layout = ti.layout()
    flag = lt.file_storage
    # Files whose name is taken are stored under another one.
    renamed = params.renamed_files
    # Tiers that nothing is left of leave gaps here.
    tiers = sorted(set(params.tracker_tiers))
    files = []
    for index in range(layout.num_files()):
        flags = layout.file_flags(index)
        files.append(
            {
                "path": renamed.get(index) or layout.file_path(index),
                "size": layout.file_size(index),
                "offset": layout.file_offset(index),
                "pad": bool(flags & flag.flag_pad_file),
                "executable": bool(flags & flag.flag_executable),
                "hidden": bool(flags & flag.flag_hidden),
                "symlink": layout.symlink(index) if flags & flag.flag_symlink else "",
            }
        )
    return {
        "name": ti.name(),
        "info_hash": str(ti.info_hashes().v1),
        "num_files": ti.num_files(),
        "num_pieces": ti.num_pieces(),
        "piece_length": ti.piece_length(),
        "total_size": sum(file["size"] for file in files if not file["pad"]),
        "is_private": ti.priv(),
        "comment": params.comment,
        "creator": params.created_by,
        "creation_date": params.creation_date,
        "files": files,
        "trackers": [
            {"url": url, "tier": tiers.index(tier)}
            for url, tier in zip(params.trackers, params.tracker_tiers, strict=True)
        ],
        "web_seeds": params.url_seeds,
        "nodes": [{"host": host, "port": port} for host, port in params.dht_nodes],
        "similar": [str(hash) for hash in ti.similar_torrents()],
        "collections": ti.collections(),
    }


# What we tell beyond that, and libtorrent's Python side does not.
OURS_ALONE = {
    *("info_hash_v2", "has_v1", "has_v2", "file_count", "piece_count", "piece_size"),
    *("source", "http_seeds", "magnet_uri", "id", "ok"),
}
FILE_FIELDS = {"path", "size", "offset", "pad", "executable", "hidden", "symlink"}


def read_by_us(shim: Shim, data: bytes | Path) -> dict[str, Any]:
    """What we read, reduced to what `read_by_libtorrent` has; raises `Refused`."""
    given = (
        {"data": base64.b64encode(data).decode()}
        if isinstance(data, bytes)
        else {"path": str(data)}
    )
    answer = shim.ask("parse_torrent", **given)
    if not answer["ok"]:
        message = answer["error"]
        assert answer["code"] == 201, answer
        raise our_refusal(message)
    answer["files"] = [{name: file[name] for name in FILE_FIELDS} for file in answer["files"]]
    return {name: value for name, value in answer.items() if name not in OURS_ALONE}


def verdict(read: Callable[..., dict[str, Any]], *what: Any) -> dict[str, Any] | Refused:
    """What is read, or why not."""
    try:
        return read(*what)
    except Refused as refusal:
        return refusal


def same(one: dict[str, Any] | Refused, other: dict[str, Any] | Refused) -> bool:
    """Whether two verdicts say the same."""
    if isinstance(one, Refused) and isinstance(other, Refused):
        return one.number == other.number
    return one == other
