"""Payloads: files of random content, made from a seed that is printed, and the torrent
that libtorrent makes of them."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import libtorrent as lt

KIB = 1024

# The seed of this run; set it to repeat one.
SEED_VARIABLE = "GODOT_TORRENT_SEED"


def random_source(name: str) -> random.Random:
    """A generator for the test `name`. What it starts from is printed, so that pytest shows
    it with a failure."""
    seed = os.environ.get(SEED_VARIABLE) or str(random.SystemRandom().getrandbits(32))
    print(f"random content for {name}: {SEED_VARIABLE}={seed}")
    return random.Random(f"{seed}/{name}")


@dataclass(frozen=True)
class Payload:
    """Files in a folder and the torrent of them."""

    # The folder to save into or seed from; the torrent's own file or folder is in it.
    save_path: Path
    # The torrent's own file or folder.
    root: Path
    torrent: bytes
    # The torrent in a file.
    torrent_path: Path
    info_hash: str
    piece_size: int

    @property
    def size(self) -> int:
        """Bytes in all files."""
        return sum(len(content) for content in tree(self.root).values())

    def assert_same(self, save_path: Path) -> None:
        """Fails unless `save_path` holds the same files, byte for byte, and no others."""
        expected, actual = tree(self.root), tree(save_path / self.root.name)
        assert sorted(actual) == sorted(expected)
        for name, content in expected.items():
            assert actual[name] == content, f"{name or self.root.name} differs"
        assert sorted(path.name for path in save_path.iterdir()) == [self.root.name]


def tree(root: Path) -> dict[str, bytes]:
    """The content of every file below `root` by its path there; of a file, itself."""
    if root.is_file():
        return {"": root.read_bytes()}
    paths = (path for path in root.rglob("*") if not path.is_dir())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


# Odd sizes: empty, one byte, around a block, around pieces, and more than one piece.
ODD_SIZES: dict[str, int] = {
    "empty": 0,
    "one byte": 1,
    "block/exact": 16 * KIB,
    "block/one less": 16 * KIB - 1,
    "block/one more": 16 * KIB + 1,
    "deep/er/than/that/large.bin": 1_500_007,
    "deep/er/small.txt": 77,
    "last but ünïcode": 300_001,
    "zz/last": 2 * 16 * KIB,
}


def single_file(folder: Path, rng: random.Random, piece_size: int, size: int) -> Payload:
    """One file of `size` bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    root = folder / "single.bin"
    root.write_bytes(rng.randbytes(size))
    return describe(root, piece_size)


def many_files(
    folder: Path,
    rng: random.Random,
    piece_size: int,
    sizes: dict[str, int] | None = None,
) -> Payload:
    """A folder of files; with odd sizes where none are given."""
    root = folder / "many"
    for name, size in (sizes or ODD_SIZES).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rng.randbytes(size))
    return describe(root, piece_size)


def describe(
    root: Path, piece_size: int, trackers: Iterable[str] = (), private: bool = False
) -> Payload:
    """The payload that is at `root`, with a version 1 torrent by libtorrent beside its
    folder. Each tracker is a tier of its own."""
    creator = creator_of(root, piece_size)
    for tier, url in enumerate(trackers):
        creator.add_tracker(url, tier)
    creator.set_priv(private)
    torrent = lt.bencode(creator.generate())
    torrent_path = root.parent.with_name(f"{root.parent.name}.torrent")
    torrent_path.write_bytes(torrent)
    info_hash = str(lt.load_torrent_buffer(torrent).ti.info_hashes().v1)
    return Payload(root.parent, root, torrent, torrent_path, info_hash, piece_size)


def creator_of(root: Path, piece_size: int) -> lt.create_torrent:
    """libtorrent's creator over the files at `root`, hashed. Files come in the order of
    their names' bytes; libtorrent itself would take them as the file system lists them."""
    entries = lt.list_files(str(root))
    entries.sort(key=lambda entry: [part.encode() for part in Path(entry.filename).parts])
    creator = lt.create_torrent(entries, piece_size, lt.create_torrent.v1_only)
    lt.set_piece_hashes(creator, str(root.parent))
    return creator
