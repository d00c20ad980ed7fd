"""Two torrents, one place: the second is refused, or both only read what is the same; and what
the first serves to libtorrent is its own, whatever becomes of the second."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from pathlib import Path

import libtorrent as lt
import pytest
from harness.oracle import Oracle
from harness.payload import KIB, Payload, describe
from harness.rpc import Shim
from harness.waiting import wait_until


def movie(folder: Path, content: bytes) -> Payload:
    """A torrent of one file."""
    folder.mkdir(parents=True)
    root = folder / "movie.mkv"
    root.write_bytes(content)
    return describe(root, 32 * KIB)


@pytest.fixture
def first(rng: random.Random, tmp_path: Path) -> Payload:
    """What is there first."""
    return movie(tmp_path / "first", rng.randbytes(500_001))


@pytest.fixture
def other(rng: random.Random, tmp_path: Path) -> Payload:
    """Another content of the same length and name."""
    return movie(tmp_path / "other", rng.randbytes(500_001))


@pytest.fixture
def copy(first: Payload, tmp_path: Path) -> Payload:
    """The same content by another torrent, as from another site."""
    torrent = lt.bdecode(first.torrent)
    torrent[b"info"][b"source"] = b"elsewhere"
    data = lt.bencode(torrent)
    path = tmp_path / "copy.torrent"
    path.write_bytes(data)
    info_hash = str(lt.load_torrent_buffer(data).ti.info_hashes().v1)
    return dataclasses.replace(first, torrent=data, torrent_path=path, info_hash=info_hash)


def assert_served(oracle: Oracle, payload: Payload, port: int, save_path: Path) -> None:
    """libtorrent gets all of it from us, without a piece that fails."""
    leecher = oracle.add(payload.torrent, save_path)
    leecher.connect_peer(("127.0.0.1", port))
    oracle.wait_for_state(leecher, lt.torrent_status.states.seeding)
    oracle.wait_for_copy(leecher, payload, save_path)
    assert leecher.status().total_failed_bytes == 0
    oracle.session.remove_torrent(leecher)


def test_another_content_is_refused(
    shim: Shim, oracle: Oracle, first: Payload, other: Payload, tmp_path: Path
) -> None:
    port = shim.start_session()
    seeder = oracle.seed(other.torrent, other.save_path)
    shim.seed(first)
    content = first.root.read_bytes()
    error = shim.refuse(
        "add_torrent_file", path=str(other.torrent_path), save_path=str(first.save_path)
    )
    assert first.info_hash in str(error)
    # By another way to the same folder, which only the disk knows.
    (first.save_path / "sub").mkdir()
    way = first.save_path / "sub" / ".."
    torrent = shim.add(other, way)
    refused = shim.wait_for_alert("torrent_error", torrent)
    assert first.info_hash in str(refused)
    assert shim.call("list_torrents")["torrents"] == [first.info_hash]
    # A magnet link, whose files are not known before it has metadata.
    magnet = f"magnet:?xt=urn:btih:{other.info_hash}"
    shim.call("add_magnet_uri", uri=magnet, save_path=str(first.save_path))
    shim.call("connect_peer", torrent_id=other.info_hash, ip="127.0.0.1", port=oracle.port)
    error = wait_until(lambda: shim.status(other.info_hash)["error"], "it is refused")
    assert first.info_hash in error
    assert first.root.read_bytes() == content
    oracle.session.remove_torrent(seeder)
    assert_served(oracle, first, port, tmp_path / "save")
    shim.call("remove_torrent", torrent_id=other.info_hash, delete_files=True)
    assert first.root.read_bytes() == content
    assert shim.status(first.info_hash)["is_seeding"]
    oracle.assert_no_errors()


def test_the_same_content_is_read_by_both(
    shim: Shim, oracle: Oracle, first: Payload, copy: Payload, tmp_path: Path
) -> None:
    port = shim.start_session()
    content = first.root.read_bytes()
    for payload in (first, copy):
        shim.seed(payload)
    for number, payload in enumerate((first, copy)):
        assert_served(oracle, payload, port, tmp_path / f"save {number}")
    shim.call("remove_torrent", torrent_id=first.info_hash, delete_files=True)
    shim.wait_for_alert("torrent_removed", first.info_hash)
    assert first.root.read_bytes() == content
    assert_served(oracle, copy, port, tmp_path / "save again")
    shim.call("remove_torrent", torrent_id=copy.info_hash, delete_files=True)
    shim.wait_for_alert("torrent_removed", copy.info_hash)
    assert not first.root.exists()
    oracle.assert_no_errors()


def test_two_names_of_one_file(
    shim: Shim, oracle: Oracle, first: Payload, other: Payload, tmp_path: Path
) -> None:
    port = shim.start_session()
    seeder = oracle.seed(other.torrent, other.save_path)
    shim.seed(first)
    content = first.root.read_bytes()
    names = tmp_path / "names"
    names.mkdir()
    (names / "movie.mkv").hardlink_to(first.root)
    torrent = shim.add(other, names)
    refused = shim.wait_for_alert("torrent_error", torrent)
    assert first.info_hash in str(refused)
    assert first.root.read_bytes() == content
    oracle.session.remove_torrent(seeder)
    assert_served(oracle, first, port, tmp_path / "save")
    oracle.assert_no_errors()


def test_a_newcomer_does_not_take_the_place_of_one_that_comes_back(
    start_shim: Callable[..., Shim],
    oracle: Oracle,
    first: Payload,
    other: Payload,
    tmp_path: Path,
) -> None:
    content = first.root.read_bytes()
    shim = start_shim()
    shim.start_session(state_dir=str(tmp_path / "state"))
    shim.seed(first)
    shim.shut_down()
    shim = start_shim()
    port = shim.start_session(state_dir=str(tmp_path / "state"))
    answer = shim.ask(
        "add_torrent_file", path=str(other.torrent_path), save_path=str(first.save_path)
    )
    if answer["ok"]:
        # Its turn was before the state directory was read.
        shim.wait_for_alert("torrent_error", other.info_hash)
    shim.wait_until_seeding(first.info_hash)
    assert shim.call("list_torrents")["torrents"] == [first.info_hash]
    assert first.root.read_bytes() == content
    assert_served(oracle, first, port, tmp_path / "save")
