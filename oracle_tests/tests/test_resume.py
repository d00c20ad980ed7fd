"""Resume data, exchanged with libtorrent in both directions."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import libtorrent as lt
import pytest
from harness.oracle import Oracle
from harness.payload import KIB, Payload, many_files, single_file
from harness.rpc import RpcError, Shim, local_path, named_by_shim
from harness.scripted_seed import ScriptedSeed
from harness.waiting import wait_until

RESUME_DATA_PARSE_ERROR = 502


def record_of(shim: Shim, torrent_id: str, *flags: str) -> bytes:
    """The torrent's resume data, from our side."""
    answer = shim.call("save_resume_data", torrent_id=torrent_id, flags=list(flags))
    return base64.b64decode(answer["resume_data"])


def add(shim: Shim, payload: Payload, record: bytes, **params: Any) -> None:
    """Adds a torrent that goes on where a record left it."""
    shim.call(
        "add_torrent_file",
        path=str(payload.torrent_path),
        resume_data=base64.b64encode(record).decode(),
        **params,
    )


def half_way(
    start_shim: Callable[..., Shim], payload: Payload, save_path: Path, blocks: int
) -> Shim:
    """Ours, in the middle of a download from a seed that sends so many blocks and leaves."""
    ours = start_shim()
    ours.start_session()
    ours.call("add_torrent_file", path=str(payload.torrent_path), save_path=str(save_path))
    with ScriptedSeed(payload, answers=blocks) as seed:
        ours.call("connect_peer", torrent_id=payload.info_hash, ip="127.0.0.1", port=seed.port)
        wait_until(lambda: len(seed.requests) >= blocks, "requests")
        # The last block of all is a short one.
        sent = sum(
            min(16 * KIB, payload.size - piece * payload.piece_size - begin)
            for piece, begin in seed.requests[:blocks]
        )
        ours.wait_for_status(payload.info_hash, "half-way", lambda it: it["total_done"] == sent)
    ours.wait_for_status(
        payload.info_hash,
        "what is whole is verified",
        lambda status: status["pieces_downloaded"] > 8,
    )
    return ours


def resumed_by_libtorrent(
    oracle: Oracle, payload: Payload, record: bytes
) -> tuple[lt.add_torrent_params, lt.torrent_handle]:
    """libtorrent going on with a record of ours."""
    params = lt.read_resume_data(record)
    params.save_path = local_path(params.save_path)
    params.ti = lt.load_torrent_buffer(payload.torrent).ti
    params.flags &= ~(lt.torrent_flags.paused | lt.torrent_flags.auto_managed)
    return params, oracle._session.add_torrent(params)


def test_ours_is_read_by_libtorrent_complete(
    ours: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    payload = many_files(tmp_path / "data", rng, 16 * KIB)
    ours.seed(payload)
    record = record_of(ours, payload.info_hash, "save_info_dict")
    decoded = lt.bdecode(record)
    assert decoded[b"file-version"] == 2
    params, handle = resumed_by_libtorrent(oracle, payload, record)
    assert params.save_path == str(payload.save_path)
    assert str(params.info_hashes.v1) == payload.info_hash
    assert params.name == "many"
    oracle.wait_for_state(handle, lt.torrent_status.states.seeding)
    oracle.assert_no_errors()


def test_ours_is_read_by_libtorrent_half_way(
    start_shim: Callable[..., Shim], rng: random.Random, tmp_path: Path
) -> None:
    payload = single_file(tmp_path / "seed", rng, 64 * KIB, 3_000_017)
    save_path = tmp_path / "save"
    # Twelve pieces and a half.
    ours = half_way(start_shim, payload, save_path, 50)
    ours.call("set_torrent_options", torrent_id=payload.info_hash, max_uploads=7)
    record = record_of(ours, payload.info_hash)
    status = ours.status(payload.info_hash)
    ours.shut_down()
    params = lt.read_resume_data(record)
    assert params.max_uploads == 7
    assert params.total_downloaded > 0
    have = sum(params.have_pieces)
    assert 8 < have <= status["pieces_downloaded"]
    with Oracle() as second:
        _, handle = resumed_by_libtorrent(second, payload, record)
        second.wait_for_state(handle, lt.torrent_status.states.downloading)
        assert handle.status().num_pieces == have
        blocks = {piece: list(bits) for piece, bits in params.unfinished_pieces.items()}
        found = {
            entry["piece_index"]: [block["state"] == 3 for block in entry["blocks"]]
            for entry in handle.get_download_queue()
        }
        for piece, bits in blocks.items():
            assert found[piece] == bits[: len(found[piece])]
        second.assert_no_errors()


def test_libtorrents_is_read_by_us(
    start_shim: Callable[..., Shim], rng: random.Random, tmp_path: Path
) -> None:
    payload = many_files(tmp_path / "data", rng, 16 * KIB)
    with Oracle() as oracle:
        handle = oracle.seed(payload.torrent, payload.save_path)
        handle.set_max_uploads(9)
        handle.set_flags(lt.torrent_flags.sequential_download)
        handle.add_tracker({"url": "http://127.0.0.1:9/announce", "tier": 0})
        handle.pause()
        handle.save_resume_data(lt.torrent_handle.save_info_dict)
        record = saved_by(oracle)
    theirs = lt.read_resume_data(record)
    ours = start_shim()
    ours.start_session()
    add(ours, payload, record, paused=False)
    ours.wait_for_alert("torrent_checked", payload.info_hash)
    status = ours.wait_until_seeding(payload.info_hash)
    assert status["uploads_limit"] == 9
    assert status["is_sequential_download"]
    assert status["save_path"] == named_by_shim(payload.save_path)
    assert status["added_time"] == theirs.added_time
    trackers = ours.call("get_trackers", torrent_id=payload.info_hash)["trackers"]
    assert [tracker["url"] for tracker in trackers] == ["http://127.0.0.1:9/announce"]
    again = lt.read_resume_data(record_of(ours, payload.info_hash))
    assert list(again.have_pieces) == list(theirs.have_pieces)
    assert again.trackers == theirs.trackers
    assert again.added_time == theirs.added_time
    assert again.total_downloaded == theirs.total_downloaded
    types = {alert["type_name"] for alert in ours.call("get_alerts")["alerts"]}
    assert "fastresume_rejected" not in types


def saved_by(oracle: Oracle) -> bytes:
    """The record in the next `save_resume_data` alert."""
    for _ in range(600):
        oracle._session.wait_for_alert(100)
        for alert in oracle._session.pop_alerts():
            if isinstance(alert, lt.save_resume_data_alert):
                return lt.write_resume_data_buf(alert.params)
    raise AssertionError("libtorrent saves nothing")


def test_libtorrents_unfinished_pieces_and_priorities_are_taken_up(
    start_shim: Callable[..., Shim], rng: random.Random, tmp_path: Path
) -> None:
    payload = single_file(tmp_path / "seed", rng, 64 * KIB, 20 * 64 * KIB)
    save_path = tmp_path / "save"
    save_path.mkdir()
    content = payload.root.read_bytes()
    # Pieces 0..2 and two blocks of piece 5 are there.
    held = content[: 3 * 64 * KIB] + bytes(2 * 64 * KIB) + content[5 * 64 * KIB :][: 2 * 16 * KIB]
    (save_path / "single.bin").write_bytes(held)
    params = lt.load_torrent_buffer(payload.torrent)
    params.save_path = str(save_path)
    params.have_pieces = [piece < 3 for piece in range(20)]
    params.unfinished_pieces = {5: [True, True, False, False]}
    params.piece_priorities = [4] * 19 + [0]
    record = lt.write_resume_data_buf(params)
    ours = start_shim()
    ours.start_session()
    add(ours, payload, record, paused=False)
    ours.wait_for_alert("torrent_checked", payload.info_hash)
    status = ours.wait_for_status(
        payload.info_hash,
        "the blocks are taken up",
        lambda status: status["total_done"] == 3 * 64 * KIB + 2 * 16 * KIB,
    )
    assert status["pieces_downloaded"] == 3
    priorities = ours.call("get_piece_priorities", torrent_id=payload.info_hash)
    assert [4] * 19 + [0] in priorities.values()
    with Oracle() as oracle:
        oracle.seed(payload.torrent, payload.save_path)
        ours.call("connect_peer", torrent_id=payload.info_hash, ip="127.0.0.1", port=oracle.port)
        status = ours.wait_for_status(
            payload.info_hash, "finished", lambda status: status["is_finished"]
        )
        assert status["total_payload_download"] == 16 * 64 * KIB - 2 * 16 * KIB
        oracle.assert_no_errors()


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (b"de", "invalid file tag"),
        (b"d11:file-format22:libtorrent resume file12:file-versioni3ee", "invalid file tag"),
        (b"d11:file-format22:libtorrent resume file12:file-versioni2ee", "missing info hash"),
        (b"not bencode", "bencode"),
    ],
)
def test_what_libtorrent_refuses_is_refused(
    ours: Shim, rng: random.Random, tmp_path: Path, record: bytes, words: str
) -> None:
    with pytest.raises(RuntimeError):
        lt.read_resume_data(record)
    payload = single_file(tmp_path / "data", rng, 16 * KIB, 50_000)
    with pytest.raises(RpcError) as refused:
        add(ours, payload, record, save_path=str(tmp_path / "save"))
    assert refused.value.code == RESUME_DATA_PARSE_ERROR
    assert words in refused.value.message


@pytest.mark.parametrize("pieces", [16, 19, 24])
def test_short_files_are_noticed_whatever_the_number_of_pieces(
    ours: Shim, rng: random.Random, tmp_path: Path, pieces: int
) -> None:
    """libtorrent seeds a file of 1000 bytes where the last byte of the bitfield is not full."""
    payload = single_file(tmp_path / "data", rng, 16 * KIB, pieces * 16 * KIB)
    params = lt.load_torrent_buffer(payload.torrent)
    params.save_path = str(payload.save_path)
    params.have_pieces = [True] * pieces
    record = lt.write_resume_data_buf(params)
    payload.root.write_bytes(payload.root.read_bytes()[:1000])
    add(ours, payload, record, paused=False)
    alert = ours.wait_for_alert("fastresume_rejected", payload.info_hash)
    assert "mismatching file size" in alert["error"]
    ours.wait_for_alert("torrent_checked", payload.info_hash)
    assert ours.status(payload.info_hash)["pieces_downloaded"] == 0


def test_session_state_is_read_on_both_sides(ours: Shim) -> None:
    ours.call("apply_settings", settings={"connections_limit": 77})
    state = base64.b64decode(ours.call("save_state")["state"])
    params = lt.read_session_params(state)
    assert params.settings["connections_limit"] == 77
    params.settings = {"connections_limit": 55, "unchoke_slots_limit": 3}
    theirs = lt.write_session_params_buf(params)
    answer = ours.call("load_state", state=base64.b64encode(theirs).decode())
    settings = ours.call("get_settings")["settings"]
    assert settings["connections_limit"] == 55
    assert settings["unchoke_slots_limit"] == 3
    before, after = lt.bdecode(theirs), lt.bdecode(base64.b64decode(answer["state"]))
    # What we make no use of is not lost.
    for key in before:
        assert key in after
