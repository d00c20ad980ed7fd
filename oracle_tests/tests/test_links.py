"""Symbolic links and programs (BEP 47) come out at the other side as what they were."""

from __future__ import annotations

import base64
import dataclasses
import os
import random
import stat
from pathlib import Path

import pytest
from harness.oracle import Oracle
from harness.payload import KIB, Payload, many_files
from harness.rpc import Shim

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there, making links takes privileges")

LINKS = {
    "beside": "one byte",
    "deep/up": "../one byte",
    "zz/folder": "../deep/er",
    "deep/er/to a link": "../up",
}
PROGRAM = "deep/er/small.txt"


@pytest.fixture
def linked(shim: Shim, rng: random.Random, tmp_path: Path) -> Payload:
    """A folder with links and a program, and the torrent that we make of it."""
    payload = many_files(tmp_path / "seed", rng, 16 * KIB)
    for name, target in LINKS.items():
        (payload.root / name).symlink_to(target)
    (payload.root / PROGRAM).chmod(0o755)
    answer = shim.call(
        "create_torrent", path=str(payload.root), version="v1", symlinks=True, piece_size=16 * KIB
    )
    torrent = base64.b64decode(answer["torrent"])
    payload.torrent_path.write_bytes(torrent)
    return dataclasses.replace(payload, torrent=torrent, info_hash=answer["info_hash"])


def entries(root: Path) -> dict[str, str]:
    """What is below `root`: where links lead, and which of the rest are programs."""
    found = {}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = Path(folder, name)
            if path.is_symlink():
                what = f"link to {path.readlink()}"
            elif path.is_dir():
                what = "folder"
            else:
                what = "program" if path.stat().st_mode & stat.S_IXUSR else "file"
            found[path.relative_to(root).as_posix()] = what
    return found


def download(shim: Shim, oracle: Oracle, payload: Payload, save_path: Path) -> str:
    """All of it from libtorrent; returns its id."""
    shim.start_session()
    oracle.seed(payload.torrent, payload.save_path)
    torrent_id = shim.add(payload, save_path)
    shim.call("connect_peer", torrent_id=torrent_id, ip="127.0.0.1", port=oracle.port)
    shim.wait_until_seeding(torrent_id)
    return torrent_id


def test_what_they_lead_to(linked: Payload) -> None:
    found = entries(linked.root)
    links = {name: f"link to {target}" for name, target in LINKS.items()}
    assert found.items() >= links.items()
    assert [name for name, what in found.items() if what == "program"] == [PROGRAM]


def test_from_libtorrent(shim: Shim, oracle: Oracle, linked: Payload, tmp_path: Path) -> None:
    torrent_id = download(shim, oracle, linked, tmp_path / "save")
    shim.call("flush_cache", torrent_id=torrent_id)
    linked.assert_same(tmp_path / "save")
    assert entries(tmp_path / "save/many") == entries(linked.root)
    oracle.assert_no_errors()


def test_to_libtorrent(shim: Shim, oracle: Oracle, linked: Payload, tmp_path: Path) -> None:
    port = shim.start_session()
    shim.seed(linked)
    leecher = oracle.add(linked.torrent, tmp_path / "save")
    leecher.connect_peer(("127.0.0.1", port))
    oracle.wait_for("torrent_finished")
    oracle.wait_for_copy(leecher, linked, tmp_path / "save")
    assert entries(tmp_path / "save/many") == entries(linked.root)
    oracle.assert_no_errors()


def test_they_move_and_go_with_their_torrent(
    shim: Shim, oracle: Oracle, linked: Payload, tmp_path: Path
) -> None:
    torrent_id = download(shim, oracle, linked, tmp_path / "save")
    shim.call("move_storage", torrent_id=torrent_id, path=str(tmp_path / "moved"))
    shim.wait_for_alert("storage_moved", torrent_id)
    linked.assert_same(tmp_path / "moved")
    assert entries(tmp_path / "moved/many") == entries(linked.root)
    assert not (tmp_path / "save/many").exists()
    shim.call("remove_torrent", torrent_id=torrent_id, delete_files=True)
    shim.wait_for_alert("torrent_deleted", torrent_id)
    assert list((tmp_path / "moved").iterdir()) == []
