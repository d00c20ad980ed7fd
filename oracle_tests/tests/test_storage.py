"""Files beside libtorrent: padding, part files, renaming, moving, seed mode, and what
happens when files change under a seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import libtorrent as lt
import pytest
from harness.oracle import Oracle
from harness.payload import KIB, Payload, many_files, single_file, tree
from harness.rpc import Shim, named_by_shim

SEEDING = lt.torrent_status.states.seeding

# Pieces of 64 KiB, of which few end with a file.
SIZES: dict[str, int] = {
    "a": 100 * KIB + 1,
    "deep/b": 30 * KIB,
    "deep/c": 200 * KIB + 77,
    "d": 90 * KIB,
}


def padded(folder: Path, rng: random.Random) -> tuple[bytes, Path]:
    """A version 1 torrent whose files each begin with a piece, by libtorrent."""
    root = folder / "padded"
    for name, size in (SIZES | {"small": 5, "tail": 64 * KIB + 9}).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rng.randbytes(size))
    flags = lt.create_torrent.v1_only | lt.create_torrent.canonical_files
    creator = lt.create_torrent(lt.list_files(str(root)), 64 * KIB, flags)
    lt.set_piece_hashes(creator, str(folder))
    return lt.bencode(creator.generate()), root


def add(ours: Shim, torrent: Path, save_path: Path, **params: object) -> str:
    """Adds a torrent and returns its id."""
    answer = ours.call("add_torrent_file", path=str(torrent), save_path=str(save_path), **params)
    return answer["torrent_id"]


def download(ours: Shim, oracle: Oracle, torrent_id: str) -> None:
    """Connects us to libtorrent and waits until what is wanted is there."""
    ours.call("connect_peer", torrent_id=torrent_id, ip="127.0.0.1", port=oracle.port)
    ours.wait_for_status(torrent_id, "finished", lambda status: status["is_finished"])
    ours.call("flush_cache", torrent_id=torrent_id)


def fetch_by_libtorrent(oracle: Oracle, torrent: bytes, save_path: Path, port: int) -> None:
    """libtorrent downloads everything from us."""
    leecher = oracle.add(torrent, save_path)
    leecher.connect_peer(("127.0.0.1", port))
    oracle.wait_for_state(leecher, SEEDING)
    oracle.flush(leecher)


# --- padding ------------------------------------------------------------------------


def test_padding_down(shim: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path) -> None:
    torrent, root = padded(tmp_path / "seed", rng)
    shim.start_session()
    seeder = oracle.seed(torrent, root.parent)
    path = tmp_path / "padded.torrent"
    path.write_bytes(torrent)
    torrent_id = add(shim, path, tmp_path / "save")
    download(shim, oracle, torrent_id)
    assert tree(tmp_path / "save" / "padded") == tree(root)
    status, theirs = shim.status(torrent_id), seeder.status()
    assert status["total_size"] == theirs.total == sum(map(len, tree(root).values()))
    assert status["total_done"] == theirs.total_done
    assert status["total_wanted"] == status["total_wanted_done"] == theirs.total_wanted
    # Padding was not asked for, but for what shares a block with a file's end.
    assert status["total_payload_download"] < theirs.total + 6 * 16 * KIB
    oracle.assert_no_errors()


def test_padding_up(shim: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path) -> None:
    torrent, root = padded(tmp_path / "seed", rng)
    port = shim.start_session()
    path = tmp_path / "padded.torrent"
    path.write_bytes(torrent)
    torrent_id = add(shim, path, root.parent)
    shim.wait_until_seeding(torrent_id)
    fetch_by_libtorrent(oracle, torrent, tmp_path / "save", port)
    assert tree(tmp_path / "save" / "padded") == tree(root)
    oracle.assert_no_errors()


# --- part files ---------------------------------------------------------------------


def partial(ours: Shim, oracle: Oracle, payload: Payload, save_path: Path) -> str:
    """Downloads `deep/b` alone, which shares its pieces with its neighbours."""
    torrent_id = add(ours, payload.torrent_path, save_path, file_priorities=[0, 4, 0, 0])
    download(ours, oracle, torrent_id)
    return torrent_id


@pytest.fixture
def payload(tmp_path: Path, rng: random.Random) -> Payload:
    """Four files in the order of their names: a, d, deep/b, deep/c."""
    return many_files(tmp_path / "seed", rng, 64 * KIB, SIZES)


def test_unwanted_files_are_not_created_and_come_when_they_are_wanted(
    shim: Shim, oracle: Oracle, payload: Payload, tmp_path: Path
) -> None:
    shim.start_session()
    oracle.seed(payload.torrent, payload.save_path)
    save = tmp_path / "save"
    torrent_id = partial(shim, oracle, payload, save)
    parts = f".{payload.info_hash}.parts"
    # The files are a, d, deep/b, deep/c: d was wanted.
    assert sorted(tree(save)) == [parts, "many/d"]
    assert tree(save)["many/d"] == tree(payload.root)["d"]
    status = shim.status(torrent_id)
    assert status["is_finished"]
    assert not status["is_seeding"]
    shim.call("set_torrent_options", torrent_id=torrent_id, file_priorities=[4, 4, 4, 4])
    shim.wait_until_seeding(torrent_id)
    shim.wait_for_status(torrent_id, "sorted", lambda status: status["is_finished"])
    shim.call("flush_cache", torrent_id=torrent_id)
    payload.assert_same(save)
    # What came with the first file was not fetched again.
    assert shim.status(torrent_id)["total_payload_download"] == payload.size
    oracle.assert_no_errors()


def test_libtorrent_goes_on_with_our_part_file(
    shim: Shim, oracle: Oracle, payload: Payload, tmp_path: Path
) -> None:
    shim.start_session()
    oracle.seed(payload.torrent, payload.save_path)
    save = tmp_path / "save"
    torrent_id = partial(shim, oracle, payload, save)
    pieces = shim.status(torrent_id)["pieces_downloaded"]
    assert pieces > 1
    shim.call("remove_torrent", torrent_id=torrent_id)
    shim.shut_down()
    with Oracle() as other:
        params = lt.load_torrent_buffer(payload.torrent)
        params.save_path = str(save)
        params.file_priorities = [0, 4, 0, 0]
        params.flags &= ~(lt.torrent_flags.paused | lt.torrent_flags.auto_managed)
        handle = other._session.add_torrent(params)
        other.wait_for("torrent_checked")
        assert handle.status().num_pieces == pieces
        handle.read_piece(1)
        other.wait_for("read_piece")


def test_we_go_on_with_a_part_file_of_libtorrent(
    shim: Shim, oracle: Oracle, payload: Payload, tmp_path: Path
) -> None:
    oracle.seed(payload.torrent, payload.save_path)
    save = tmp_path / "save"
    with Oracle() as other:
        params = lt.load_torrent_buffer(payload.torrent)
        params.save_path = str(save)
        params.file_priorities = [0, 4, 0, 0]
        params.flags &= ~(lt.torrent_flags.paused | lt.torrent_flags.auto_managed)
        handle = other._session.add_torrent(params)
        handle.connect_peer(("127.0.0.1", oracle.port))
        other.wait_for("torrent_finished")
        other.flush(handle)
        pieces = handle.status().num_pieces
        other._session.remove_torrent(handle)
        other.wait_for("torrent_removed")
    parts = save / f".{payload.info_hash}.parts"
    assert parts.exists()
    shim.start_session()
    torrent_id = add(shim, payload.torrent_path, save, file_priorities=[0, 4, 0, 0])
    status = shim.wait_for_status(torrent_id, "finished", lambda status: status["is_finished"])
    assert status["pieces_downloaded"] == pieces
    shim.call("set_torrent_options", torrent_id=torrent_id, file_priorities=[4, 4, 4, 4])
    download(shim, oracle, torrent_id)
    shim.wait_until_seeding(torrent_id)
    payload.assert_same(save)


# --- names and places ----------------------------------------------------------------


def test_renamed_and_moved_while_seeding(
    shim: Shim, oracle: Oracle, payload: Payload, tmp_path: Path
) -> None:
    port = shim.start_session(settings={"alert_mask": 0x7FFFFFFF})
    save = tmp_path / "ours"
    oracle.seed(payload.torrent, payload.save_path)
    torrent_id = add(shim, payload.torrent_path, save)
    download(shim, oracle, torrent_id)
    shim.call("rename_file", torrent_id=torrent_id, index=0, name="other/place/A")
    alert = shim.wait_for_alert("file_renamed", torrent_id=torrent_id)
    assert (alert["new_name"], alert["old_name"]) == ("other/place/A", "many/a")
    target = tmp_path / "moved" / "deep"
    shim.call("move_storage", torrent_id=torrent_id, path=str(target))
    alert = shim.wait_for_alert("storage_moved", torrent_id=torrent_id)
    assert alert["storage_path"] == named_by_shim(target)
    assert alert["old_path"] == named_by_shim(save)
    status = shim.status(torrent_id)
    assert status["save_path"] == named_by_shim(target)
    assert not status["is_moving_storage"]
    assert not tree(save)
    found, expected = tree(target), tree(payload.root)
    assert found.pop("other/place/A") == expected.pop("a")
    assert found == {f"many/{name}": content for name, content in expected.items()}
    with Oracle() as other:
        fetch_by_libtorrent(other, payload.torrent, tmp_path / "theirs", port)
        payload.assert_same(tmp_path / "theirs")
        other.assert_no_errors()


def test_renamed_and_moved_while_downloading(
    shim: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    payload = single_file(tmp_path / "seed", rng, 64 * KIB, 8_000_000)
    shim.start_session()
    # It has the first half only: we cannot be done before we have moved.
    half = tmp_path / "half"
    half.mkdir()
    (half / payload.root.name).write_bytes(payload.root.read_bytes()[:4_000_000])
    seeder = oracle.add(payload.torrent, half)
    seeder.set_upload_limit(2_000_000)
    oracle.wait_for_state(seeder, lt.torrent_status.states.downloading)
    torrent_id = add(shim, payload.torrent_path, tmp_path / "ours")
    shim.call("connect_peer", torrent_id=torrent_id, ip="127.0.0.1", port=oracle.port)
    some = 500_000
    shim.wait_for_status(torrent_id, "begun", lambda status: status["total_done"] > some)
    shim.call("rename_file", torrent_id=torrent_id, index=0, name="new/name.bin")
    shim.call("move_storage", torrent_id=torrent_id, path=str(tmp_path / "moved"))
    assert not shim.status(torrent_id)["is_finished"]
    seeder.set_upload_limit(0)
    with Oracle() as whole:
        whole.seed(payload.torrent, payload.save_path)
        shim.call("connect_peer", torrent_id=torrent_id, ip="127.0.0.1", port=whole.port)
        shim.wait_until_seeding(torrent_id)
        whole.assert_no_errors()
    shim.call("flush_cache", torrent_id=torrent_id)
    assert (tmp_path / "moved/new/name.bin").read_bytes() == payload.root.read_bytes()
    assert not tree(tmp_path / "ours")
    oracle.assert_no_errors()


@pytest.mark.parametrize("name", ["", "..", "../x", "/etc/x", "a/../../x", "many/d"])
def test_names_that_lead_astray_are_refused(ours: Shim, payload: Payload, name: str) -> None:
    torrent_id = add(ours, payload.torrent_path, payload.save_path)
    ours.wait_until_seeding(torrent_id)
    before = tree(payload.save_path)
    error = ours.refuse("rename_file", torrent_id=torrent_id, index=0, name=name)
    assert error.code == 405
    assert tree(payload.save_path) == before


def test_a_move_onto_files_that_exist_is_as_with_libtorrent(
    ours: Shim, oracle: Oracle, payload: Payload, tmp_path: Path
) -> None:
    for number, mode in enumerate(("always_replace_files", "fail_if_exist", "dont_replace")):
        trees = []
        for who in ("ours", "theirs"):
            home = tmp_path / f"{mode}-{who}"
            many_copy(payload, home / "from")
            taken = home / "to" / "many" / "a"
            taken.parent.mkdir(parents=True)
            taken.write_bytes(b"taken")
            if who == "ours":
                torrent_id = add(ours, payload.torrent_path, home / "from")
                ours.wait_until_seeding(torrent_id)
                move = {"torrent_id": torrent_id, "path": str(home / "to"), "flags": number}
                if mode == "fail_if_exist":
                    assert ours.refuse("move_storage", **move).code == 404
                else:
                    ours.call("move_storage", **move)
                ours.call("remove_torrent", torrent_id=torrent_id)
            else:
                handle = oracle.seed(payload.torrent, home / "from")
                handle.move_storage(str(home / "to"), number)
                what = "storage_moved_failed" if mode == "fail_if_exist" else "storage_moved"
                oracle.wait_for(what)
                oracle._session.remove_torrent(handle)
                oracle.wait_for("torrent_removed")
            trees.append(tree(home))
        assert trees[0] == trees[1], mode


def many_copy(payload: Payload, save_path: Path) -> None:
    """The payload's files once more."""
    for name, content in tree(payload.root).items():
        path = save_path / payload.root.name / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


# --- seed mode and files that change ----------------------------------------------------


def test_seed_mode_hashes_nothing_up_front_and_each_piece_before_it_is_sent(
    shim: Shim, oracle: Oracle, payload: Payload, tmp_path: Path
) -> None:
    port = shim.start_session()
    torrent_id = add(shim, payload.torrent_path, payload.save_path, seed_mode=True)
    status = shim.wait_until_seeding(torrent_id)
    assert status["is_seed_mode"]
    fetch_by_libtorrent(oracle, payload.torrent, tmp_path / "save", port)
    payload.assert_same(tmp_path / "save")
    shim.wait_for_status(torrent_id, "all hashed", lambda status: not status["is_seed_mode"])
    oracle.assert_no_errors()


def test_seed_mode_never_serves_a_wrong_byte(
    shim: Shim, oracle: Oracle, payload: Payload, tmp_path: Path
) -> None:
    port = shim.start_session()
    path = payload.root / "deep" / "c"
    content = bytearray(path.read_bytes())
    content[100_000] ^= 1
    path.write_bytes(content)
    torrent_id = add(shim, payload.torrent_path, payload.save_path, flags=["seed_mode"])
    shim.wait_until_seeding(torrent_id)
    leecher = oracle.add(payload.torrent, tmp_path / "save")
    leecher.connect_peer(("127.0.0.1", port))
    # It leaves seed mode with the first request for the spoilt piece, and checks.
    status = shim.wait_for_status(
        torrent_id, "found out", lambda status: not status["is_seed_mode"]
    )
    status = shim.wait_for_status(
        torrent_id, "checked", lambda status: status["state_string"] == "downloading"
    )
    assert status["pieces_downloaded"] == status["num_pieces"] - 1
    oracle.assert_no_errors()
    assert leecher.status().total_failed_bytes == 0


@pytest.mark.parametrize("damage", ["missing", "short"])
def test_seed_mode_finds_missing_and_short_files_at_once(
    ours: Shim, payload: Payload, damage: str
) -> None:
    path = payload.root / "d"
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])
    torrent_id = add(ours, payload.torrent_path, payload.save_path, seed_mode=True)
    status = ours.wait_for_status(
        torrent_id, "checked", lambda status: status["state_string"] == "downloading"
    )
    assert not status["is_seed_mode"]
    assert not status["is_finished"]


@pytest.mark.parametrize("change", ["delete", "cut"])
def test_files_that_change_under_a_seed_are_noticed_and_fetched_again(
    start_shim: Callable[..., Shim],
    oracle: Oracle,
    payload: Payload,
    tmp_path: Path,
    change: str,
) -> None:
    shim = start_shim()
    port = shim.start_session(settings={"alert_mask": 0x7FFFFFFF, "close_file_interval": 1})
    save = tmp_path / "ours"
    many_copy(payload, save)
    torrent_id = add(shim, payload.torrent_path, save)
    shim.wait_until_seeding(torrent_id)
    path = save / "many" / "deep" / "c"
    # A file that is open can be read after it was deleted.
    shim.call("apply_settings", settings={"file_pool_size": 1})
    if change == "delete":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: 70 * KIB])
    leecher = oracle.add(payload.torrent, tmp_path / "theirs")
    leecher.connect_peer(("127.0.0.1", port))
    if change == "cut":
        shim.wait_for_alert("file_error", torrent_id=torrent_id)
        shim.wait_for_status(torrent_id, "a piece is lost", lambda status: not status["is_seeding"])
    shim.call("force_recheck", torrent_id=torrent_id)
    shim.wait_for_status(
        torrent_id, "found out", lambda status: status["state_string"] == "downloading"
    )
    with Oracle() as healer:
        healer.seed(payload.torrent, payload.save_path)
        shim.call("connect_peer", torrent_id=torrent_id, ip="127.0.0.1", port=healer.port)
        shim.wait_until_seeding(torrent_id)
    shim.call("flush_cache", torrent_id=torrent_id)
    assert tree(save / "many") == tree(payload.root)
    oracle.assert_no_errors()
    assert leecher.status().total_failed_bytes == 0
