"""Every key of resume data, to and from libtorrent: what one side wrote, the other reads,
goes on with and writes again."""

from __future__ import annotations

import base64
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import libtorrent as lt
from harness.oracle import Oracle
from harness.payload import KIB, many_files, single_file
from harness.rpc import Shim, local_path, named_by_shim
from harness.waiting import DEADLINE_SECONDS

SEEDING = lt.torrent_status.states.seeding

# What neither side takes over from the other, or that changes by itself.
OWN_KEYS = {b"libtorrent-version", b"godot-torrent-files", b"file-version"}


def record_of(shim: Shim, torrent_id: str, *flags: str) -> bytes:
    """The torrent's resume data, from our side."""
    answer = shim.call("save_resume_data", torrent_id=torrent_id, flags=list(flags))
    return base64.b64decode(answer["resume_data"])


def add(shim: Shim, torrent_path: Path, record: bytes, **params: Any) -> str:
    """Adds a torrent that goes on where a record left it."""
    answer = shim.call(
        "add_torrent_file",
        path=str(torrent_path),
        resume_data=base64.b64encode(record).decode(),
        **params,
    )
    return answer["torrent_id"]


def saved_by_libtorrent(oracle: Oracle, handle: lt.torrent_handle) -> bytes:
    """libtorrent's record of a torrent."""
    handle.save_resume_data(lt.torrent_handle.save_info_dict)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        oracle._session.wait_for_alert(100)
        for alert in oracle._session.pop_alerts():
            if isinstance(alert, lt.save_resume_data_alert):
                return lt.write_resume_data_buf(alert.params)
    raise AssertionError("libtorrent saves nothing")


def resumed_by_libtorrent(oracle: Oracle, torrent: bytes, record: bytes) -> lt.torrent_handle:
    """libtorrent going on with a record of ours."""
    params = lt.read_resume_data(record)
    params.save_path = local_path(params.save_path)
    params.ti = lt.load_torrent_buffer(torrent).ti
    params.flags &= ~(lt.torrent_flags.paused | lt.torrent_flags.auto_managed)
    return oracle._session.add_torrent(params)


def test_every_field_of_theirs_comes_back(ours: Shim, rng: random.Random, tmp_path: Path) -> None:
    payload = many_files(tmp_path / "data", rng, 16 * KIB)
    params = lt.load_torrent_buffer(payload.torrent)
    pieces = params.ti.num_pieces()
    files = params.ti.num_files()
    flags = lt.torrent_flags
    wanted = {
        "save_path": str(tmp_path / "elsewhere"),
        "part_file_dir": "parts",
        "comment": "a comment",
        "created_by": "somebody",
        "storage_mode": lt.storage_mode_t.storage_mode_allocate,
        "total_uploaded": 123_456,
        "total_downloaded": 654_321,
        "active_time": 11_000,
        "finished_time": 7_000,
        "seeding_time": 5_000,
        "added_time": 1_500_000_000,
        "completed_time": 1_500_000_100,
        "last_seen_complete": 1_500_000_200,
        "last_download": 1_500_000_300,
        "last_upload": 1_500_000_400,
        "num_complete": 21,
        "num_incomplete": 22,
        "num_downloaded": 23,
        "max_connections": 31,
        "max_uploads": 32,
        "upload_limit": 33_000,
        "download_limit": 34_000,
        "trackers": ["http://127.0.0.1:9/announce", "udp://127.0.0.1:9"],
        "tracker_tiers": [0, 1],
        "url_seeds": ["http://127.0.0.1:9/"],
        "renamed_files": {0: "other name", 1: "deep/er/name"},
        "file_priorities": [4] * (files - 1) + [7],
        "piece_priorities": [1] + [4] * (pieces - 2) + [7],
        "peers": [("127.0.0.1", 1001), ("127.0.0.2", 1002)],
        "banned_peers": [("127.0.0.3", 1)],
        "have_pieces": [False] * pieces,
        "flags": flags.paused
        | flags.sequential_download
        | flags.disable_dht
        | flags.disable_lsd
        | flags.disable_pex,
    }
    for name, value in wanted.items():
        setattr(params, name, value)
    theirs = lt.write_resume_data_buf(params)
    torrent_id = add(ours, payload.torrent_path, theirs)
    ours.wait_for_alert("torrent_checked", torrent_id)
    again = lt.read_resume_data(record_of(ours, torrent_id))
    again.save_path = local_path(again.save_path)
    known = lt.read_resume_data(theirs)
    for name in wanted:
        if name == "have_pieces":
            assert not any(again.have_pieces)
        elif name == "peers":
            assert set(again.peers) == set(known.peers)
        else:
            assert getattr(again, name) == getattr(known, name), name
    assert again.info_hashes.v1 == known.info_hashes.v1
    assert again.name == params.ti.name()
    assert again.creation_date == known.creation_date


def test_every_key_of_ours_comes_back_through_libtorrent(
    ours: Shim, rng: random.Random, tmp_path: Path
) -> None:
    payload = many_files(tmp_path / "data", rng, 16 * KIB)
    answer = ours.call(
        "add_torrent_file",
        path=str(payload.torrent_path),
        save_path=str(payload.save_path),
        part_file_dir="parts",
        max_connections=31,
        max_uploads=32,
        upload_limit=33_000,
        trackers=["http://127.0.0.1:9/announce"],
        url_seeds=["http://127.0.0.1:9/"],
        file_priorities=[4, 7],
        piece_priorities=[1, 2, 3],
        paused=True,
        flags=["sequential_download", "disable_pex"],
    )
    torrent_id = answer["torrent_id"]
    ours.wait_for_alert("torrent_checked", torrent_id)
    for flags in [(), ("save_info_dict",)]:
        record = record_of(ours, torrent_id, *flags)
        params = lt.read_resume_data(record)
        if flags:
            assert params.ti is not None
            whole = lt.load_torrent_buffer(payload.torrent).ti
            assert params.ti.num_files() == whole.num_files()
        again = lt.bdecode(lt.write_resume_data_buf(params))
        before = lt.bdecode(record)
        assert before[b"file-version"] == again[b"file-version"] == 2
        for key, value in before.items():
            if key in OWN_KEYS:
                continue
            assert key in again, key
            if key == b"info":
                continue
            assert again[key] == value, key
    # And what libtorrent made of it is a record to us.
    ours.call("remove_torrent", torrent_id=torrent_id)
    ours.wait_for_alert("torrent_removed")
    add(ours, payload.torrent_path, lt.write_resume_data_buf(params))
    ours.wait_for_alert("torrent_checked", torrent_id)
    status = ours.status(torrent_id)
    assert status["is_seeding"]
    assert status["paused"]
    assert status["is_sequential_download"]
    assert (status["connections_limit"], status["uploads_limit"]) == (31, 32)
    assert status["upload_limit"] == 33_000


def read_half(oracle: Oracle, torrent: bytes, save_path: Path, port: int) -> lt.torrent_handle:
    """libtorrent downloads the first half of the pieces."""
    params = lt.load_torrent_buffer(torrent)
    params.save_path = str(save_path)
    pieces = params.ti.num_pieces()
    params.piece_priorities = [4] * (pieces // 2) + [0] * (pieces - pieces // 2)
    params.flags &= ~(lt.torrent_flags.paused | lt.torrent_flags.auto_managed)
    handle = oracle._session.add_torrent(params)
    handle.connect_peer(("127.0.0.1", port))
    oracle.wait_for_state(handle, lt.torrent_status.states.finished)
    return handle


def test_verified_pieces_of_ours(
    start_shim: Callable[..., Shim], oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    # A multiple of 8: libtorrent leaves seed mode over the bits that fill up a byte.
    payload = single_file(tmp_path / "data", rng, 64 * KIB, 24 * 64 * KIB)
    ours = start_shim()
    port = ours.start_session()
    torrent_id = ours.call(
        "add_torrent_file",
        path=str(payload.torrent_path),
        save_path=str(payload.save_path),
        seed_mode=True,
    )["torrent_id"]
    ours.wait_until_seeding(torrent_id)
    read_half(oracle, payload.torrent, tmp_path / "save", port)
    record = record_of(ours, torrent_id)
    params = lt.read_resume_data(record)
    assert params.flags & lt.torrent_flags.seed_mode
    verified = list(params.verified_pieces)
    assert verified[:12] == [True] * 12
    assert not all(verified)
    ours.shut_down()

    with Oracle() as second:
        handle = resumed_by_libtorrent(second, payload.torrent, record)
        second.wait_for_state(handle, SEEDING)
        flags = lt.torrent_handle.query_verified_pieces
        assert list(handle.status(flags).verified_pieces) == verified
        second.assert_no_errors()

    again = start_shim()
    again.start_session()
    add(again, payload.torrent_path, record)
    status = again.wait_until_seeding(torrent_id)
    assert status["is_seed_mode"]
    bits = base64.b64decode(status["verified_pieces"])
    shown = [bool(bits[piece // 8] >> (7 - piece % 8) & 1) for piece in range(24)]
    # The look at the files hashes a few by itself.
    assert all(now or not before for before, now in zip(verified, shown, strict=True))


def test_verified_pieces_of_theirs(
    start_shim: Callable[..., Shim], rng: random.Random, tmp_path: Path
) -> None:
    payload = single_file(tmp_path / "data", rng, 64 * KIB, 20 * 64 * KIB)
    with Oracle() as seed, Oracle() as leecher:
        handle = seed.add(payload.torrent, payload.save_path, seed_mode=True)
        seed.wait_for_state(handle, SEEDING)
        read_half(leecher, payload.torrent, tmp_path / "save", seed.port)
        record = saved_by_libtorrent(seed, handle)
    verified = list(lt.read_resume_data(record).verified_pieces)[:20]
    assert any(verified)
    assert not all(verified)
    ours = start_shim()
    port = ours.start_session()
    torrent_id = add(ours, payload.torrent_path, record, paused=False)
    status = ours.wait_until_seeding(torrent_id)
    assert status["is_seed_mode"]
    again = list(lt.read_resume_data(record_of(ours, torrent_id)).verified_pieces)[:20]
    assert all(now or not before for before, now in zip(verified, again, strict=True))
    # The rest is fetched by somebody, and that is the end of seed mode.
    with Oracle() as other:
        fetched = other.add(payload.torrent, tmp_path / "other")
        fetched.connect_peer(("127.0.0.1", port))
        other.wait_for_state(fetched, SEEDING)
        other.assert_no_errors()
    status = ours.wait_for_status(
        torrent_id, "seed mode is over", lambda status: not status["is_seed_mode"]
    )
    assert status["is_seeding"]


def test_renamed_and_moved_by_us(
    start_shim: Callable[..., Shim], oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    payload = many_files(tmp_path / "data", rng, 16 * KIB)
    ours = start_shim()
    ours.start_session()
    torrent_id = ours.seed(payload)
    ours.call("rename_file", torrent_id=torrent_id, index=0, name="new/name")
    ours.call("move_storage", torrent_id=torrent_id, path=str(tmp_path / "moved"))
    record = record_of(ours, torrent_id)
    ours.shut_down()
    assert (tmp_path / "moved" / "new" / "name").is_file()
    handle = resumed_by_libtorrent(oracle, payload.torrent, record)
    status = oracle.wait_for_state(handle, SEEDING)
    assert status.save_path == str(tmp_path / "moved")
    oracle.assert_no_errors()


def test_renamed_and_moved_by_libtorrent(
    start_shim: Callable[..., Shim], rng: random.Random, tmp_path: Path
) -> None:
    payload = many_files(tmp_path / "data", rng, 16 * KIB)
    with Oracle() as oracle:
        handle = oracle.seed(payload.torrent, payload.save_path)
        handle.rename_file(0, "new/name")
        oracle.wait_for("file_renamed")
        handle.move_storage(str(tmp_path / "moved"))
        oracle.wait_for("storage_moved")
        record = saved_by_libtorrent(oracle, handle)
    ours = start_shim()
    ours.start_session()
    torrent_id = add(ours, payload.torrent_path, record, paused=False)
    status = ours.wait_until_seeding(torrent_id)
    assert status["save_path"] == named_by_shim(tmp_path / "moved")
    types = {alert["type_name"] for alert in ours.call("get_alerts")["alerts"]}
    assert "fastresume_rejected" not in types
    # Our record tells libtorrent the same story.
    renamed = lt.read_resume_data(record_of(ours, torrent_id)).renamed_files
    assert renamed == lt.read_resume_data(record).renamed_files


def test_a_part_file_goes_from_one_to_the_other(
    start_shim: Callable[..., Shim], rng: random.Random, tmp_path: Path
) -> None:
    payload = many_files(tmp_path / "data", rng, 16 * KIB)
    save_path = tmp_path / "save"
    files = lt.load_torrent_buffer(payload.torrent).ti.num_files()
    ours = start_shim()
    ours.start_session()
    torrent_id = ours.call(
        "add_torrent_file",
        path=str(payload.torrent_path),
        save_path=str(save_path),
        part_file_dir="parts",
        file_priorities=[0] + [4] * (files - 1),
    )["torrent_id"]
    with Oracle() as oracle:
        oracle.seed(payload.torrent, payload.save_path)
        ours.call("connect_peer", torrent_id=torrent_id, ip="127.0.0.1", port=oracle.port)
        ours.wait_for_status(torrent_id, "finished", lambda status: status["is_finished"])
    record = record_of(ours, torrent_id)
    ours.shut_down()
    parts = save_path / "parts" / f".{torrent_id}.parts"
    held = parts.is_file()
    with Oracle() as second:
        handle = resumed_by_libtorrent(second, payload.torrent, record)
        second.wait_for_state(handle, lt.torrent_status.states.finished)
        second.assert_no_errors()
    assert parts.is_file() == held
    again = start_shim()
    again.start_session()
    add(again, payload.torrent_path, record, paused=False)
    again.wait_for_status(torrent_id, "finished", lambda status: status["is_finished"])
    again.call("remove_torrent", torrent_id=torrent_id, delete_partfile=True)
    again.wait_for_alert("torrent_deleted")
    assert not parts.exists()
    assert any(path.is_file() for path in save_path.rglob("*"))
