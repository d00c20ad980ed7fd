"""Torrents of folders from chance, with options from chance: the info dict that we make is
libtorrent's, byte for byte, and so is all that stands beside it."""

from __future__ import annotations

import base64
import itertools
import os
import random
import shutil
from pathlib import Path
from typing import Any

import libtorrent as lt
import pytest
from harness.payload import KIB
from harness.rpc import Shim

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links and permissions of Unix")

ROUNDS = 120
NAMES = ["a", "B", "a.txt", "a b", "ünïcödé", "z.bin", "0", "~x", "a-b", "a!b", ".hidden", "~"]
SIZES = [0, 1, 5, 16 * KIB - 1, 16 * KIB, 16 * KIB + 1, 40_000, 100_003]
PIECE_SIZES = [0, 1024, 4 * KIB, 16 * KIB, 32 * KIB, 48 * KIB, 64 * KIB, 1024 * KIB]
FLAGS = lt.create_torrent
PADDINGS = {
    "canonical_files": FLAGS.canonical_files,
    "canonical_files_no_tail_padding": FLAGS.canonical_files_no_tail_padding,
}


def grow(rng: random.Random, folder: Path, depth: int = 0) -> None:
    """Files and folders in `folder`."""
    folder.mkdir(parents=True)
    # No two names that differ in case alone.
    for name in rng.sample(NAMES, rng.randint(1, 4)):
        path = folder / name
        if depth < 3 and rng.random() < 0.3:
            grow(rng, path, depth + 1)
            continue
        path.write_bytes(rng.randbytes(rng.choice(SIZES)))
        path.chmod(rng.choice([0o644, 0o755]))
        if rng.random() < 0.5:
            os.utime(path, ns=(0, rng.randrange(2_000_000_000) * 10**9 + rng.randrange(10**9)))


def link_up(rng: random.Random, root: Path) -> None:
    """A few links to what is in the folder: relative ones, long ways round, whole paths."""
    inside = sorted(path for path in root.rglob("*") if not path.is_symlink())
    folders = [root, *(path for path in inside if path.is_dir())]
    for number in range(rng.randrange(4)):
        link = rng.choice(folders) / f"link {number}"
        target = rng.choice(inside)
        relative = Path(os.path.relpath(target, link.parent))
        there = [relative, Path(".") / relative, target]
        link.symlink_to(rng.choice(there))


def in_order(path: str) -> list[bytes]:
    """The order in which we walk folders; libtorrent takes them as the file system does."""
    return [part.encode() for part in Path(path).parts]


def options(rng: random.Random) -> dict[str, Any]:
    """Parameters of `create_torrent`."""
    hosts = ["router.example", "10.0.0.1", "::1"]
    some = {
        "trackers": [
            [f"http://t{tier}{at}.example/announce" for at in range(rng.randint(1, 3))]
            for tier in range(rng.randint(1, 3))
        ],
        "url_seeds": [f"http://w{at}.example/" for at in range(rng.randint(1, 3))],
        "nodes": [f"{rng.choice(hosts)}:{rng.randint(1, 65535)}" for _ in range(2)],
        "similar": [rng.randbytes(20).hex() for _ in range(rng.randint(1, 2))],
        "collections": ["some", "names"],
        "comment": "a cömment",
        "creator": "the tests",
        "private": True,
        "attributes": False,
        "modification_times": True,
        "symlinks": True,
        "padding": rng.choice(list(PADDINGS)),
    }
    chosen = {name: value for name, value in some.items() if rng.random() < 0.4}
    return chosen | {"piece_size": rng.choice(PIECE_SIZES), "creation_date": rng.randrange(1 << 32)}


def made_by_libtorrent(root: Path, wanted: dict[str, Any]) -> dict[bytes, Any]:
    """The torrent that libtorrent makes with the same options."""
    flags = FLAGS.v1_only
    flags |= 0 if wanted.get("attributes", True) else FLAGS.no_attributes
    flags |= FLAGS.modification_time if wanted.get("modification_times") else 0
    flags |= FLAGS.symlinks if wanted.get("symlinks") else 0
    flags |= PADDINGS.get(wanted.get("padding", ""), 0)
    entries = lt.list_files(str(root), lambda _: True, flags)
    entries.sort(key=lambda entry: in_order(entry.filename))
    creator = lt.create_torrent(entries, wanted["piece_size"], flags)
    lt.set_piece_hashes(creator, str(root.parent))
    for tier, urls in enumerate(wanted.get("trackers", [])):
        for url in urls:
            creator.add_tracker(url, tier)
    for url in wanted.get("url_seeds", []):
        creator.add_url_seed(url)
    for node in wanted.get("nodes", []):
        host, port = node.rsplit(":", 1)
        creator.add_node(host, int(port))
    for similar in wanted.get("similar", []):
        creator.add_similar_torrent(lt.sha1_hash(bytes.fromhex(similar)))
    for collection in wanted.get("collections", []):
        creator.add_collection(collection)
    creator.set_comment(wanted.get("comment", ""))
    creator.set_creator(wanted.get("creator", ""))
    creator.set_priv(wanted.get("private", False))
    creator.set_creation_date(wanted["creation_date"])
    return creator.generate()


def test_the_same_folders_give_the_same_torrents(
    shim: Shim, rng: random.Random, tmp_path: Path
) -> None:
    refused = 0
    for number in range(ROUNDS):
        root = tmp_path / f"folder {number}"
        grow(rng, root)
        wanted = options(rng)
        if wanted.get("symlinks"):
            link_up(rng, root)
        answer = shim.ask(
            "create_torrent", path=str(root), version="v1", include_hidden=True, **wanted
        )
        if not any(path.is_file() and path.stat().st_size for path in root.rglob("*")):
            assert not answer["ok"]
            assert str(root) in answer["error"], answer
            refused += 1
            continue
        if wanted.get("symlinks") and wanted.get("attributes") is False:
            # libtorrent forgets which files are links then, and fails; we tell.
            assert answer["ok"], answer
            continue
        expected = made_by_libtorrent(root, wanted)
        assert answer["ok"], f"{answer}\n{wanted}"
        torrent = base64.b64decode(answer["torrent"])
        ours = lt.bdecode(torrent)
        assert ours == expected, wanted
        assert torrent == lt.bencode(expected), wanted
        info = lt.load_torrent_buffer(torrent).ti
        assert answer["info_hash"] == str(info.info_hashes().v1)
        shutil.rmtree(root)
    assert refused < ROUNDS / 2


@pytest.mark.parametrize("edge", [42_949_673, 171_798_692])
def test_piece_sizes_at_their_thresholds(shim: Shim, tmp_path: Path, edge: int) -> None:
    for size in (edge, edge + 1):
        path = tmp_path / "a.bin"
        with path.open("wb") as file:
            # Full of holes: only the size matters.
            file.truncate(size)
        torrent = base64.b64decode(shim.call("create_torrent", path=str(path))["torrent"])
        entries = lt.list_files(str(path))
        creator = lt.create_torrent(entries, 0, lt.create_torrent.v1_only)
        assert lt.bdecode(torrent)[b"info"][b"piece length"] == creator.piece_length()


@pytest.mark.parametrize("multiple", [False, True])
def test_piece_sizes_that_are_possible(shim: Shim, tmp_path: Path, multiple: bool) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"x" * 1000)
    around = [1, 2, 3, 1024, 16 * KIB, 48 * KIB, 128 * KIB * KIB]
    sizes = [size * 3 for size in around] if multiple else around
    for size in itertools.chain.from_iterable((size - 1, size, size + 1) for size in sizes if size):
        if size == 0:
            continue
        try:
            lt.create_torrent(lt.list_files(str(path)), size, lt.create_torrent.v1_only)
            possible = True
        except RuntimeError:
            possible = False
        answer = shim.ask("create_torrent", path=str(path), piece_size=size)
        assert answer["ok"] == possible, f"{size}: {answer}"
        assert possible or str(size) in answer["error"]


def test_links_that_lead_out_are_refused_by_name(shim: Shim, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a").write_bytes(b"a")
    for target in ["/etc/passwd", "../b", "a/../../b", "nowhere", "."]:
        link = root / "link"
        link.symlink_to(target)
        error = shim.refuse("create_torrent", path=str(root), symlinks=True)
        assert "link" in error.message, target
        link.unlink()


def test_a_torrent_file_is_written_whole_or_not_at_all(shim: Shim, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"x" * 1000)
    out = tmp_path / "out.torrent"
    out.mkdir()
    assert str(out) in shim.refuse("create_torrent", path=str(path), out=str(out)).message
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.bin", "out.torrent"]
