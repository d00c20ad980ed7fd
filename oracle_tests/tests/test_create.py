"""Torrents that we make are those that libtorrent makes: the same info dict, byte for byte."""

from __future__ import annotations

import base64
import random
from pathlib import Path

import libtorrent as lt
import pytest
from harness.oracle import Oracle
from harness.payload import KIB, creator_of, many_files, single_file
from harness.rpc import Shim, powerless, shim_command

# 0 lets each side choose.
PIECE_SIZES = [0, 16 * KIB, 64 * KIB, 256 * KIB, 1024 * KIB]


def created(shim: Shim, path: Path, **params: object) -> tuple[bytes, str]:
    """The torrent that we make of what is at `path`, and its hash."""
    answer = shim.call("create_torrent", path=str(path), version="v1", **params)
    return base64.b64decode(answer["torrent"]), answer["info_hash"]


def info_section(torrent: bytes) -> bytes:
    """The info dict of a torrent file, as it stands there."""
    return lt.load_torrent_buffer(torrent).ti.info_section()


@pytest.mark.parametrize("piece_size", PIECE_SIZES)
def test_one_file(shim: Shim, rng: random.Random, tmp_path: Path, piece_size: int) -> None:
    payload = single_file(tmp_path / "seed", rng, 16 * KIB, 3_000_017)
    torrent, info_hash = created(shim, payload.root, piece_size=piece_size)
    expected = lt.bencode(creator_of(payload.root, piece_size).generate())
    assert info_section(torrent) == info_section(expected)
    assert info_hash == str(lt.load_torrent_buffer(expected).ti.info_hashes().v1)


@pytest.mark.parametrize("piece_size", PIECE_SIZES)
def test_many_files(shim: Shim, rng: random.Random, tmp_path: Path, piece_size: int) -> None:
    payload = many_files(tmp_path / "seed", rng, 16 * KIB)
    torrent, _ = created(shim, payload.root, piece_size=piece_size)
    expected = lt.bencode(creator_of(payload.root, piece_size).generate())
    assert info_section(torrent) == info_section(expected)


@pytest.mark.parametrize("size", [1, 16 * KIB, 2_684_354, 2_684_355, 2_684_356, 10_737_419])
def test_the_piece_size_that_is_chosen(
    shim: Shim, rng: random.Random, tmp_path: Path, size: int
) -> None:
    path = tmp_path / "a.bin"
    with path.open("wb") as file:
        # Full of holes: only the size matters.
        file.truncate(size)
    torrent, _ = created(shim, path)
    expected = lt.bencode(creator_of(path, 0).generate())
    assert info_section(torrent) == info_section(expected)


@pytest.mark.not_on_windows("Windows knows no executable files")
def test_executable_files(shim: Shim, rng: random.Random, tmp_path: Path) -> None:
    payload = many_files(tmp_path / "seed", rng, 16 * KIB)
    for name in ("one byte", "deep/er/small.txt"):
        (payload.root / name).chmod(0o755)
    torrent, _ = created(shim, payload.root, piece_size=16 * KIB)
    expected = lt.bencode(creator_of(payload.root, 16 * KIB).generate())
    assert info_section(torrent) == info_section(expected)


def test_what_is_said_about_it_is_read_back(shim: Shim, rng: random.Random, tmp_path: Path) -> None:
    payload = single_file(tmp_path / "seed", rng, 16 * KIB, 100_000)
    out = tmp_path / "out.torrent"
    torrent, info_hash = created(
        shim,
        payload.root,
        out=str(out),
        piece_size=32 * KIB,
        trackers=["http://one/announce", "udp://two:1/announce"],
        url_seeds=["http://web/seed"],
        comment="a comment",
        creator="the tests",
        private=True,
    )
    assert out.read_bytes() == torrent
    params = lt.load_torrent_buffer(torrent)
    assert str(params.ti.info_hashes().v1) == info_hash
    assert params.ti.piece_length() == 32 * KIB
    assert params.ti.priv()
    assert params.trackers == ["http://one/announce", "udp://two:1/announce"]
    assert params.url_seeds == ["http://web/seed"]
    assert params.comment == "a comment"
    assert params.created_by == "the tests"
    assert params.creation_date > 1_500_000_000
    fields = shim.call("parse_torrent", path=str(out))
    assert fields["info_hash"] == info_hash
    assert fields["is_private"] is True


def test_it_is_served_to_libtorrent(
    shim: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    payload = many_files(tmp_path / "seed", rng, 16 * KIB)
    port = shim.start_session()
    out = tmp_path / "out.torrent"
    torrent, info_hash = created(shim, payload.root, out=str(out))
    shim.call("add_torrent_and_seed", path=str(out), data_dir=str(payload.save_path))
    shim.wait_until_seeding(info_hash)
    leecher = oracle.add(torrent, tmp_path / "save")
    leecher.connect_peer(("127.0.0.1", port))
    oracle.wait_for("torrent_finished")
    oracle.flush(leecher)
    payload.assert_same(tmp_path / "save")
    oracle.assert_no_errors()


def test_hidden_files_are_left_out_unless_asked_for(
    shim: Shim, rng: random.Random, tmp_path: Path
) -> None:
    sizes = {"seen": 10, ".hidden": 20, ".git/config": 30, "folder/.also hidden": 40}
    payload = many_files(tmp_path / "seed", rng, 16 * KIB, sizes)

    def names(**params: object) -> list[str]:
        torrent, _ = created(shim, payload.root, **params)
        encoded = base64.b64encode(torrent).decode()
        files = shim.call("parse_torrent", data=encoded)["files"]
        return sorted(file["path"].removeprefix("many/") for file in files)

    assert names() == ["seen"]
    assert names(include_hidden=True) == sorted(sizes)


def test_what_cannot_be_made_is_refused(shim: Shim, rng: random.Random, tmp_path: Path) -> None:
    payload = single_file(tmp_path / "seed", rng, 16 * KIB, 100_000)
    empty_folder = tmp_path / "empty"
    empty_folder.mkdir()
    empty_file = tmp_path / "empty.bin"
    empty_file.touch()
    missing = tmp_path / "missing"

    def refused(path: Path, **params: object) -> str:
        error = shim.refuse("create_torrent", path=str(path), **params)
        return error.message

    assert str(missing) in refused(missing)
    assert refused(empty_folder)
    assert refused(empty_file)
    assert "12345" in refused(payload.root, piece_size=12345)
    assert "v7" in refused(payload.root, version="v7")
    assert "nonsense" in refused(payload.root, trackers=["nonsense"])
    out = tmp_path / "no" / "such" / "folder" / "x.torrent"
    assert str(out) in refused(payload.root, out=str(out))


@pytest.mark.not_on_windows("permissions of Unix")
def test_a_file_that_cannot_be_read_is_named(
    start_shim, rng: random.Random, tmp_path: Path
) -> None:
    payload = many_files(tmp_path / "seed", rng, 16 * KIB, {"a": 5, "b/secret": 5, "c": 5})
    secret = payload.root / "b" / "secret"
    secret.chmod(0)
    shim = start_shim(command=powerless(shim_command()))
    error = shim.refuse("create_torrent", path=str(payload.root))
    assert error.code == 402
    assert str(secret) in error.message
    secret.chmod(0o600)


@pytest.mark.not_on_windows("symbolic links of Unix")
def test_a_link_out_of_the_folder_is_not_followed(
    shim: Shim, rng: random.Random, tmp_path: Path
) -> None:
    payload = many_files(tmp_path / "seed", rng, 16 * KIB, {"a": 5})
    outside = tmp_path / "outside"
    outside.write_bytes(b"not for everybody")
    link = payload.root / "link"
    link.symlink_to(outside)
    error = shim.refuse("create_torrent", path=str(payload.root))
    assert str(link) in error.message
