"""What is asked of whom in a swarm: trade, churn, priorities, order, deadlines and modes."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import libtorrent as lt
import pytest
from harness.oracle import Oracle
from harness.payload import KIB, Payload, many_files, single_file
from harness.rpc import Shim
from harness.scripted_seed import ScriptedSeed
from harness.waiting import wait_until

SEEDING = lt.torrent_status.states.seeding
PIECE = 32 * KIB

# Everybody is 127.0.0.1 here.
SETTINGS = {"max_connections_per_ip": 0}


@pytest.fixture
def payload(tmp_path: Path, rng: random.Random) -> Payload:
    return single_file(tmp_path / "payload", rng, PIECE, 60 * PIECE + 12_345)


def add(oracle: Oracle, payload: Payload, save_path: Path) -> lt.torrent_handle:
    """Adds a torrent that has not everything, and returns when it takes callers: until it is
    checked it turns them away, and we do not call again within a minute."""
    handle = oracle.add(payload.torrent, save_path)
    oracle.wait_for_state(handle, lt.torrent_status.states.downloading)
    return handle


def connect(shim: Shim, payload: Payload, *ports: int) -> None:
    for port in ports:
        shim.call("connect_peer", torrent_id=payload.info_hash, ip="127.0.0.1", port=port)


def with_half(payload: Payload, save_path: Path, half: int) -> Path:
    """Copies one half of the pieces; the rest of the file is zeros."""
    content = payload.root.read_bytes()
    middle = len(content) // PIECE // 2 * PIECE
    save_path.mkdir()
    kept = (content[:middle], bytes(middle))[half], (content[middle:], b"")[1 - half]
    (save_path / payload.root.name).write_bytes(b"".join(kept))
    return save_path


def test_partial_seeds_trade_their_halves(
    start_shim: Callable[..., Shim], payload: Payload, tmp_path: Path
) -> None:
    ours = start_shim()
    ours.start_session(settings=SETTINGS)
    with ExitStack() as stack:
        theirs = [stack.enter_context(Oracle()) for _ in range(2)]
        ours.add(payload, with_half(payload, tmp_path / "ours", 0))
        handles = [
            add(theirs[0], payload, with_half(payload, tmp_path / "theirs", 1)),
            add(theirs[1], payload, tmp_path / "late"),
        ]
        ours.wait_for_status(payload.info_hash, "half of it", lambda it: it["progress"] > 0.4)
        connect(ours, payload, *(oracle.port for oracle in theirs))
        handles[0].connect_peer(("127.0.0.1", theirs[1].port))
        ours.wait_until_seeding(payload.info_hash)
        for oracle, handle in zip(theirs, handles, strict=True):
            oracle.wait_for_state(handle, SEEDING)
            oracle.assert_no_errors()
        ours.call("flush_cache", torrent_id=payload.info_hash)
        payload.assert_same(tmp_path / "ours")
        status = ours.status(payload.info_hash)
        assert status["total_payload_upload"] > 0
        assert status["total_redundant_bytes"] <= payload.size // 10


def test_peers_come_and_go(
    start_shim: Callable[..., Shim], payload: Payload, tmp_path: Path
) -> None:
    ours = start_shim()
    ours.start_session(settings=SETTINGS)
    ours.add(payload, tmp_path / "ours")
    # Fast enough to give something, too slow to give all before it leaves.
    for share in (0.1, 0.3, 0.5):
        with Oracle({"upload_rate_limit": 600 * KIB}) as passing:
            passing.seed(payload.torrent, payload.save_path)
            connect(ours, payload, passing.port)
            ours.wait_for_status(
                payload.info_hash, f"{share} of it", lambda it, share=share: it["progress"] >= share
            )
    with Oracle() as last:
        last.seed(payload.torrent, payload.save_path)
        connect(ours, payload, last.port)
        ours.wait_until_seeding(payload.info_hash)
    ours.call("flush_cache", torrent_id=payload.info_hash)
    payload.assert_same(tmp_path / "ours")
    assert ours.status(payload.info_hash)["total_failed_bytes"] == 0


def test_skipped_files_are_not_asked_for_and_first_things_come_first(
    start_shim: Callable[..., Shim], rng: random.Random, tmp_path: Path
) -> None:
    sizes = {name: 8 * PIECE for name in ("a", "b", "c", "d")}
    payload = many_files(tmp_path / "payload", rng, PIECE, sizes)
    ours = start_shim()
    ours.start_session(settings={"max_out_request_queue": 2})
    with ScriptedSeed(payload) as seed:
        ours.add(payload, tmp_path / "ours", file_priorities=[1, 0, 7, 4])
        connect(ours, payload, seed.port)
        ours.wait_for_status(payload.info_hash, "finished", lambda it: it["is_finished"])
        files = [piece // 8 for piece in seed.pieces]
        assert 1 not in files
        assert files == sorted(files, key=[2, 3, 0].index)
        # Wanted after all, piece by piece.
        ours.call(
            "set_torrent_options", torrent_id=payload.info_hash, piece_priorities=[4] * 8 + [4]
        )
        connect(ours, payload, seed.port)
        wait_until(lambda: 8 in seed.pieces, "piece 8 is asked for")


def test_sequential_download_asks_in_order(
    start_shim: Callable[..., Shim], payload: Payload, tmp_path: Path
) -> None:
    ours = start_shim()
    ours.start_session()
    with ScriptedSeed(payload) as seed:
        ours.add(payload, tmp_path / "ours", flags=["sequential_download"])
        connect(ours, payload, seed.port)
        ours.wait_until_seeding(payload.info_hash)
        assert seed.pieces == list(range(61))
        assert len(seed.requests) == len(set(seed.requests))


def test_deadlines_are_asked_for_first_and_shown(
    start_shim: Callable[..., Shim], payload: Payload, tmp_path: Path
) -> None:
    ours = start_shim()
    ours.start_session(settings={"alert_mask": 1 | 8, "max_out_request_queue": 4})
    with ScriptedSeed(payload, answers=10) as seed:
        ours.add(payload, tmp_path / "ours", flags=["sequential_download"])
        connect(ours, payload, seed.port)
        wait_until(lambda: len(seed.requests) > 10, "requests")
        for place, piece in enumerate((50, 40, 45)):
            ours.call(
                "set_piece_deadline",
                torrent_id=payload.info_hash,
                piece=piece,
                milliseconds=place * 100,
                alert_when_available=True,
            )
        # A few were asked for before, and three pieces are two blocks each.
        seed.allow(20)
        for _ in range(3):
            alert = ours.wait_for_alert("read_piece", payload.info_hash)
            assert (alert["error"], alert["size"]) == ("", PIECE)
            assert alert["piece_index"] in (50, 40, 45)
        late = [piece for piece in seed.pieces if piece >= 40][:3]
        assert late == [50, 40, 45]
        assert len(seed.pieces) < 40, "the deadlines waited for everything else"
        priorities = ours.call("get_piece_priorities", torrent_id=payload.info_hash)["array"]
        assert priorities[40:42] == [7, 4]
        # Here already: shown at once. Far off: taken back.
        for piece, command in ((50, None), (60, "reset_piece_deadline")):
            ours.call(
                "set_piece_deadline",
                torrent_id=payload.info_hash,
                piece=piece,
                milliseconds=60_000,
                alert_when_available=True,
            )
            if command:
                ours.call(command, torrent_id=payload.info_hash, piece=piece)
            alert = ours.wait_for_alert("read_piece", payload.info_hash)
            assert alert["piece_index"] == piece
            assert (alert["error"] == "") == (command is None)
        ours.call("clear_piece_deadlines", torrent_id=payload.info_hash)
        error = ours.refuse(
            "set_piece_deadline", torrent_id=payload.info_hash, piece=61, milliseconds=1
        )
        assert "61" in str(error)
        seed.allow()
        ours.wait_until_seeding(payload.info_hash)


def test_the_download_queue_shows_every_block(
    start_shim: Callable[..., Shim], payload: Payload, tmp_path: Path
) -> None:
    ours = start_shim()
    ours.start_session(settings={"status_update_interval": 20, "alert_mask": 1 << 24})
    with ScriptedSeed(payload, answers=1) as seed:
        ours.add(payload, tmp_path / "ours")
        connect(ours, payload, seed.port)

        def begun() -> list[dict]:
            answer = ours.call("get_download_queue", torrent_id=payload.info_hash)
            return answer["download_queue"]

        pieces = wait_until(begun, "a piece that is begun")
        for piece in pieces:
            assert piece["blocks_in_piece"] == len(piece["blocks"]) <= 2
            states = [block["state"] for block in piece["blocks"]]
            assert set(states) <= {0, 1, 2, 3}
            assert piece["requested"] == states.count(1)
            for block in piece["blocks"]:
                assert block["block_size"] <= 16 * KIB
                if block["state"] == 1:
                    assert block["peer"] == f"127.0.0.1:{seed.port}"
        asked = ours.wait_for_alert("block_downloading", payload.info_hash)
        got = ours.wait_for_alert("block_finished", payload.info_hash)
        for alert in (asked, got):
            assert alert["peer_port"] == seed.port
            assert alert["block_index"] in (0, 1)


def test_a_super_seed_sends_every_piece_about_once(
    start_shim: Callable[..., Shim], payload: Payload, tmp_path: Path
) -> None:
    ours = start_shim()
    port = ours.start_session(settings=SETTINGS | {"status_update_interval": 20})
    ours.add(payload, payload.save_path, flags=["super_seeding"])
    ours.wait_until_seeding(payload.info_hash)
    assert ours.status(payload.info_hash)["is_super_seeding"]
    with ExitStack() as stack:
        theirs = [stack.enter_context(Oracle()) for _ in range(3)]
        handles = [
            add(oracle, payload, tmp_path / f"theirs {number}")
            for number, oracle in enumerate(theirs)
        ]
        # They know each other before they know us.
        handles[0].connect_peer(("127.0.0.1", theirs[1].port))
        handles[0].connect_peer(("127.0.0.1", theirs[2].port))
        handles[1].connect_peer(("127.0.0.1", theirs[2].port))
        for handle in handles:
            wait_until(lambda handle=handle: handle.status().num_peers >= 2, "they are connected")
        for handle in handles:
            handle.connect_peer(("127.0.0.1", port))
        for oracle, handle in zip(theirs, handles, strict=True):
            oracle.wait_for_state(handle, SEEDING)
            oracle.assert_no_errors()
        status = ours.wait_for_status(
            payload.info_hash,
            "everything was sent",
            lambda it: it["total_payload_upload"] >= payload.size,
        )
        assert status["total_payload_upload"] <= payload.size * 3 // 2


def test_super_seeding_can_end(
    start_shim: Callable[..., Shim], payload: Payload, tmp_path: Path, oracle: Oracle
) -> None:
    ours = start_shim()
    port = ours.start_session(settings=SETTINGS)
    ours.add(payload, payload.save_path, flags=["super_seeding"])
    ours.wait_until_seeding(payload.info_hash)
    handle = oracle.add(payload.torrent, tmp_path / "theirs")
    handle.connect_peer(("127.0.0.1", port))
    wait_until(lambda: handle.status().num_pieces > 0, "a first piece")
    ours.call("set_torrent_options", torrent_id=payload.info_hash, super_seeding=False)
    oracle.wait_for_state(handle, SEEDING)
    assert not ours.status(payload.info_hash)["is_super_seeding"]


def test_upload_mode_only_serves(
    start_shim: Callable[..., Shim], payload: Payload, tmp_path: Path, oracle: Oracle
) -> None:
    ours = start_shim()
    ours.start_session(settings=SETTINGS)
    ours.add(payload, with_half(payload, tmp_path / "ours", 0), flags=["upload_mode"])
    half = ours.wait_for_status(
        payload.info_hash, "half of it", lambda it: it["progress"] > 0.4 and it["state"] == 3
    )
    assert half["is_upload_mode"]
    handle = add(oracle, payload, with_half(payload, tmp_path / "theirs", 1))
    connect(ours, payload, oracle.port)
    oracle.wait_for_state(handle, SEEDING)
    status = ours.status(payload.info_hash)
    assert status["pieces_downloaded"] == half["pieces_downloaded"]
    assert status["total_payload_download"] == 0
    ours.call("set_torrent_options", torrent_id=payload.info_hash, upload_mode=False)
    connect(ours, payload, oracle.port)
    ours.wait_until_seeding(payload.info_hash)


def test_a_torrent_can_stop_when_it_is_ready(
    start_shim: Callable[..., Shim], payload: Payload, tmp_path: Path
) -> None:
    ours = start_shim()
    ours.start_session(settings=SETTINGS | {"alert_mask": 1 | 64})
    with ScriptedSeed(payload) as seed:
        ours.add(payload, tmp_path / "ours", flags=["stop_when_ready"])
        ours.wait_for_alert("torrent_paused", payload.info_hash)
        status = ours.status(payload.info_hash)
        assert (status["paused"], status["state"]) == (True, 3)
        assert not status["is_stop_when_ready"]
        connect(ours, payload, seed.port)
        ours.call("resume_torrent", torrent_id=payload.info_hash)
        connect(ours, payload, seed.port)
        ours.wait_until_seeding(payload.info_hash)


def test_share_mode_fetches_what_it_can_pass_on(
    start_shim: Callable[..., Shim], payload: Payload, tmp_path: Path
) -> None:
    ours = start_shim()
    # Passing on all takes a minute: we are looked at long before.
    limits = {"share_mode_target": 2, "upload_rate_limit": 60_000}
    ours.start_session(settings=SETTINGS | limits)
    with ExitStack() as stack:
        seed = stack.enter_context(Oracle())
        seed.seed(payload.torrent, payload.save_path)
        # They know us only, and have nothing to give.
        theirs = [stack.enter_context(Oracle()) for _ in range(4)]
        handles = [
            add(oracle, payload, tmp_path / f"theirs {number}")
            for number, oracle in enumerate(theirs)
        ]
        ours.add(payload, tmp_path / "ours", flags=["share_mode"])
        status = ours.wait_for_status(payload.info_hash, "checked", lambda it: it["is_finished"])
        assert status["is_share_mode"]
        connect(ours, payload, seed.port, *(oracle.port for oracle in theirs))
        passed_on = ours.wait_for_status(
            payload.info_hash,
            "more sent than received",
            lambda it: it["total_payload_upload"] >= 2 * PIECE,
        )
        assert 0 < passed_on["pieces_downloaded"] < 61
        assert passed_on["total_payload_download"] <= passed_on["total_payload_upload"] + PIECE
        assert all(handle.status().num_pieces <= 61 for handle in handles)
