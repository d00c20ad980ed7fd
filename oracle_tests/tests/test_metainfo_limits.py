"""The limits of torrent files: just below, at and just above each one our verdict is
libtorrent's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.bencode import bencode
from harness.metainfo import Refused, read_by_libtorrent, read_by_us, same, verdict
from harness.payload import KIB
from harness.rpc import Shim

HASH = b"\x07" * 20
LARGEST_PIECE = ((1 << 15) - 1) * 16 * KIB
LARGEST_FILE = ((1 << 31) - 1) // 2 * 16 * KIB - 1
LARGEST_TOTAL = (1 << 48) - 1
# As many as a torrent file has room for.
MOST_HASHES = 400_000


def single(length: int = 20_000, piece: int = 16 * KIB, **more: Any) -> dict[str, Any]:
    """The info dict of one file, with hashes enough."""
    return {
        "name": "a",
        "length": length,
        "piece length": piece,
        "pieces": HASH * min(max(0, -(-length // max(1, piece))), MOST_HASHES),
    } | more


def multi(*files: tuple[list[Any], int], piece: int = 16 * KIB, **more: Any) -> dict[str, Any]:
    """The info dict of several files, with hashes enough."""
    total = sum(length for _, length in files)
    return {
        "name": "folder",
        "files": [{"path": path, "length": length} for path, length in files],
        "piece length": piece,
        "pieces": HASH * min(-(-total // piece), MOST_HASHES),
    } | more


def nested(depth: int) -> list[Any]:
    """Lists in lists."""
    outer: list[Any] = []
    for _ in range(depth - 1):
        outer = [outer]
    return outer


def same_names(*copies: int) -> dict[str, Any]:
    """Files of which so many have the same name, for each of several names. `n` of them mean
    (n - 1)(n - 2) / 2 names that are tried in vain."""
    files = [([f"name{at}"], 1) for at, count in enumerate(copies) for _ in range(count)]
    return multi(*files)


def link(*target: str) -> dict[str, Any]:
    """A file, and a link with this target."""
    info = multi((["a"], 5))
    entry = {"path": ["link"], "attr": "l", "symlink path": list(target), "length": 0}
    return info | {"files": [*info["files"], entry]}


def cases() -> Iterator[tuple[str, dict[str, Any], int | None]]:
    """A name, an info dict, and libtorrent's number where it is refused."""
    for size in (-1, 0, LARGEST_PIECE + 1, (1 << 32) + 16 * KIB):
        yield f"pieces of {size}", single(piece=size), 6
    for size in (1, 2, 12_345, 16 * KIB - 1, LARGEST_PIECE - 1, LARGEST_PIECE):
        yield f"pieces of {size}", single(50, size), None
    for size in (-1, LARGEST_FILE + 1, 1 << 48, (1 << 63) - 1):
        yield f"a file of {size}", single(size, LARGEST_PIECE, pieces=HASH), 9
    for size in (1, LARGEST_FILE - 1, LARGEST_FILE):
        yield f"a file of {size}", single(size, LARGEST_PIECE), None
    yield "no content", single(0), 9
    yield "no content, but hashes", single(0, pieces=HASH), 12
    # So many hashes are more than a torrent file may have: they are wrong, the sizes are not.
    rest = LARGEST_TOTAL - 16 * LARGEST_FILE
    for more, refusal in ((-1, 12), (0, 12), (1, 9)):
        files = [([str(at)], LARGEST_FILE) for at in range(16)]
        info = multi(*files, (["x"], rest + more), piece=LARGEST_PIECE)
        yield f"{more} beyond the largest total", info, refusal
    for length in (0, 19, 20, 21, 39, 41, 60):
        yield f"hashes of {length} bytes", single(pieces=HASH[:1] * length), 12
    yield "hashes of 40 bytes", single(pieces=HASH * 2), None
    for depth in (1, 99, 100):
        yield f"{depth} elements", multi((["d"] * depth, 5)), None
        yield f"a link of {depth} elements", link(*["d"] * depth), None
    yield "101 elements", multi((["d"] * 101, 5)), 219
    yield "a link of 101 elements", link(*["d"] * 101), 219
    # The dict of the file and the info dict are two levels.
    for depth, refusal in ((96, None), (97, None), (98, "bdecode"), (99, "bdecode")):
        yield f"{depth} lists", single(x=nested(depth)), refusal
    yield "499 names in vain", same_names(33, *[3] * 3), None
    yield "500 names in vain", same_names(33, *[3] * 4), None
    yield "501 names in vain", same_names(33, *[3] * 5), 145
    for length in (239, 240, 256, 300):
        for extension in ("", ".x", ".12345678", ".123456789", "." * 9):
            name = "n" * (length - len(extension)) + extension
            yield f"a name of {length}, {extension}", multi((["a"], 5), ([name], 5)), None
            yield f"a torrent named by {length}, {extension}", single(name=name), None
    for date in (-2, -1, 0, 1, (1 << 31) - 1, 1 << 31, (1 << 32) + 1):
        yield f"dated {date}", single(**{"creation date": date}), None


CASES = {name: (info, refusal) for name, info, refusal in cases()}


@pytest.mark.parametrize(("info", "refusal"), CASES.values(), ids=CASES)
def test_limits_of_the_info_dict(shim: Shim, info: dict[str, Any], refusal: Any) -> None:
    data = bencode({"info": info, "creation date": info.pop("creation date", 0)})
    theirs = verdict(read_by_libtorrent, data)
    assert (theirs.number if isinstance(theirs, Refused) else None) == refusal
    ours = verdict(read_by_us, shim, data)
    assert same(theirs, ours), f"libtorrent: {theirs!r}\nours: {ours!r}"


@pytest.mark.parametrize("length", [241, 250, 251, 255])
@pytest.mark.parametrize("extension", ["", ".x", ".12345678", ".123456789", "." * 9])
def test_names_as_long_as_file_systems_take(shim: Shim, length: int, extension: str) -> None:
    """libtorrent cuts them, at 240 bytes without the extension."""
    name = "n" * (length - len(extension)) + extension
    ours = verdict(read_by_us, shim, bencode({"info": multi((["a"], 5), ([name], 5))}))
    assert isinstance(ours, dict)
    assert ours["files"][1]["path"].split("/")[-1] == name


@pytest.mark.parametrize("values", [2_999_999, 3_000_000, 3_000_001])
def test_the_number_of_values(shim: Shim, tmp_path: Path, values: int) -> None:
    # Root and list with their ends, two keys, and the info dict.
    frame = 2 + 2 + 2 + 10
    path = tmp_path / "a.torrent"
    small = bencode({"info": single()})[1:-1]
    path.write_bytes(b"d" + small + b"1:xl" + b"0:" * (values - frame) + b"ee")
    theirs = verdict(read_by_libtorrent, path)
    assert isinstance(theirs, Refused) == (values > 3_000_000), theirs
    assert same(theirs, verdict(read_by_us, shim, path))


@pytest.mark.parametrize("size", [9_999_999, 10_000_000, 30 * 1024 * 1024 + 1])
def test_the_size_of_the_file(shim: Shim, tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.torrent"
    small = bencode({"info": single()})
    path.write_bytes(small + b"x" * (size - len(small)))
    theirs = verdict(read_by_libtorrent, path)
    assert isinstance(theirs, Refused) == (size > 10_000_000), theirs
    assert same(theirs, verdict(read_by_us, shim, path))


def test_a_file_of_30_mib_is_read(shim: Shim, tmp_path: Path) -> None:
    """As long as metadata from peers may be; libtorrent draws the line at 10 MB."""
    path = tmp_path / "a.torrent"
    small = bencode({"info": single()})
    path.write_bytes(small + b"x" * (30 * 1024 * 1024 - len(small)))
    assert not isinstance(verdict(read_by_us, shim, path), Refused)
