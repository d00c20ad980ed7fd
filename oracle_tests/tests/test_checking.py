"""Data that is there already: what we take for good is what libtorrent takes for good."""

from __future__ import annotations

import base64
import random
import shutil
from pathlib import Path
from typing import Any

import libtorrent as lt
import pytest
from harness.oracle import Oracle
from harness.payload import KIB, Payload, many_files
from harness.rpc import Shim

PIECE = 32 * KIB
LARGE = "deep/er/than/that/large.bin"


def nothing(root: Path) -> None:
    """Leaves the data as it is."""


def flip_a_byte(root: Path) -> None:
    path = root / LARGE
    data = bytearray(path.read_bytes())
    data[700_000] ^= 1
    path.write_bytes(data)


def remove_a_file(root: Path) -> None:
    (root / LARGE).unlink()


def truncate_a_file(root: Path) -> None:
    path = root / LARGE
    path.write_bytes(path.read_bytes()[:1_000_000])


def append_to_a_file(root: Path) -> None:
    with (root / LARGE).open("ab") as file:
        file.write(b"more than it should be")


def remove_everything(root: Path) -> None:
    shutil.rmtree(root)


DAMAGES = [
    nothing,
    flip_a_byte,
    remove_a_file,
    truncate_a_file,
    append_to_a_file,
    remove_everything,
]


def bitmap(status: dict[str, Any]) -> list[bool]:
    """The pieces of a status, one truth value each."""
    bits = base64.b64decode(status["pieces"])
    return [bool(bits[piece // 8] & 0x80 >> piece % 8) for piece in range(status["num_pieces"])]


def checked_by_libtorrent(oracle: Oracle, payload: Payload, save_path: Path) -> list[bool]:
    """The pieces that libtorrent finds at `save_path`."""
    handle = oracle.add(payload.torrent, save_path)
    oracle.wait_for("torrent_checked")
    pieces = handle.status(lt.torrent_handle.query_pieces).pieces
    # All of them are left out of a seed's status.
    return list(pieces) or [True] * handle.torrent_file().num_pieces()


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_the_same_pieces_are_found(
    ours: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path, damage: Any
) -> None:
    payload = many_files(tmp_path / "seed", rng, PIECE)
    copies = [tmp_path / "ours", tmp_path / "theirs"]
    for copy in copies:
        shutil.copytree(payload.save_path, copy)
        damage(copy / "many")
    torrent_id = ours.call(
        "add_torrent_and_seed", path=str(payload.torrent_path), data_dir=str(copies[0])
    )["torrent_id"]
    ours.wait_for_alert("torrent_checked", torrent_id)
    status = ours.wait_for_status(torrent_id, "checked", lambda status: status["state"] in (3, 5))
    assert bitmap(status) == checked_by_libtorrent(oracle, payload, copies[1])
    assert status["pieces_downloaded"] == sum(bitmap(status))
    assert status["is_seeding"] == all(bitmap(status))


@pytest.mark.parametrize("damage", DAMAGES[1:], ids=lambda damage: damage.__name__)
def test_what_is_missing_is_downloaded_and_no_more(
    ours: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path, damage: Any
) -> None:
    payload = many_files(tmp_path / "seed", rng, PIECE)
    oracle.seed(payload.torrent, payload.save_path)
    save_path = tmp_path / "save"
    shutil.copytree(payload.save_path, save_path)
    damage(save_path / "many")
    torrent_id = ours.call(
        "add_torrent_file", path=str(payload.torrent_path), save_path=str(save_path)
    )["torrent_id"]
    ours.wait_for_alert("torrent_checked", torrent_id)
    status = ours.wait_for_status(torrent_id, "checked", lambda status: status["state"] in (3, 5))
    missing = payload.size - status["total_done"]
    ours.call("connect_peer", torrent_id=torrent_id, ip="127.0.0.1", port=oracle.port)
    status = ours.wait_until_seeding(torrent_id)
    assert status["total_payload_download"] == missing
    ours.call("flush_cache", torrent_id=torrent_id)
    if damage is append_to_a_file:
        # Whose bytes they are is not ours to say; they are no harm.
        large = save_path / "many" / LARGE
        large.write_bytes(large.read_bytes()[: (payload.root / LARGE).stat().st_size])
    payload.assert_same(save_path)
    oracle.assert_no_errors()


def test_a_recheck_finds_what_changed_meanwhile(
    ours: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    payload = many_files(tmp_path / "seed", rng, PIECE)
    oracle.seed(payload.torrent, payload.save_path)
    save_path = tmp_path / "save"
    shutil.copytree(payload.save_path, save_path)
    torrent_id = ours.call(
        "add_torrent_and_seed", path=str(payload.torrent_path), data_dir=str(save_path)
    )["torrent_id"]
    ours.wait_until_seeding(torrent_id)
    ours.wait_for_alert("torrent_checked", torrent_id)

    flip_a_byte(save_path / "many")
    ours.call("force_recheck", torrent_id=torrent_id)
    ours.wait_for_alert("torrent_checked", torrent_id)
    status = ours.wait_for_status(torrent_id, "checked", lambda status: status["state"] == 3)
    assert status["pieces_downloaded"] == status["num_pieces"] - 1

    ours.call("connect_peer", torrent_id=torrent_id, ip="127.0.0.1", port=oracle.port)
    ours.wait_until_seeding(torrent_id)
    ours.call("flush_cache", torrent_id=torrent_id)
    payload.assert_same(save_path)


def test_pieces_are_read_back(ours: Shim, rng: random.Random, tmp_path: Path) -> None:
    payload = many_files(tmp_path / "seed", rng, PIECE)
    torrent_id = ours.seed(payload)
    files = ours.call("get_torrent_info", torrent_id=torrent_id)["info"]["files"]
    whole = b"".join((payload.save_path / file["path"]).read_bytes() for file in files)
    last = (len(whole) - 1) // PIECE
    for piece in (0, last // 2, last):
        data = base64.b64decode(ours.call("read_piece", torrent_id=torrent_id, piece=piece)["data"])
        assert data == whole[piece * PIECE : (piece + 1) * PIECE]
    error = ours.refuse("read_piece", torrent_id=torrent_id, piece=last + 1)
    assert error.code == 602
    assert str(last + 1) in error.message
