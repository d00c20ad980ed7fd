"""In which order we ask, as a libtorrent seed hears it; and swarms in which nothing is right."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import libtorrent as lt
import pytest
from harness.oracle import Oracle
from harness.payload import KIB, Payload, many_files, single_file
from harness.rpc import Shim
from harness.waiting import wait_until

PIECE = 32 * KIB
RATE = 400_000


@pytest.fixture
def payload(tmp_path: Path, rng: random.Random) -> Payload:
    return single_file(tmp_path / "payload", rng, PIECE, 60 * PIECE + 12_345)


def connect(shim: Shim, payload: Payload, port: int) -> None:
    shim.call("connect_peer", torrent_id=payload.info_hash, ip="127.0.0.1", port=port)


def sent(oracle: Oracle) -> list[int]:
    """The pieces that a seed sent blocks of, each once, in the order of the first ones."""
    oracle.take_alerts()
    pieces = [
        alert.fields["piece_index"] for alert in oracle.alerts if alert.what == "block_uploaded"
    ]
    return list(dict.fromkeys(pieces))


def all_sent(oracle: Oracle, count: int) -> list[int]:
    """The pieces that a seed sent, when so many are told of: it tells of a block when it has
    sent it, not before."""
    wait_until(lambda: len(sent(oracle)) >= count, f"{count} pieces were sent")
    return sent(oracle)


def in_order(pieces: list[int]) -> bool:
    """Whether pieces were sent in their order; its disk may overtake itself by the few that
    are asked for at once."""
    return all(abs(place - sorted(pieces).index(it)) <= 2 for place, it in enumerate(pieces))


def test_sequential_download(shim: Shim, oracle: Oracle, payload: Payload, tmp_path: Path) -> None:
    oracle.seed(payload.torrent, payload.save_path)
    shim.start_session(settings={"max_out_request_queue": 2})
    shim.add(payload, tmp_path / "ours", flags=["sequential_download"])
    connect(shim, payload, oracle.port)
    shim.wait_until_seeding(payload.info_hash)
    pieces = all_sent(oracle, 61)
    assert sorted(pieces) == list(range(61))
    assert in_order(pieces), pieces
    oracle.assert_no_errors()


def test_priorities(shim: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path) -> None:
    sizes = {name: 8 * PIECE for name in ("a", "b", "c", "d")}
    payload = many_files(tmp_path / "payload", rng, PIECE, sizes)
    oracle.seed(payload.torrent, payload.save_path).set_upload_limit(RATE)
    shim.start_session(settings={"max_out_request_queue": 2})
    shim.add(payload, tmp_path / "ours", file_priorities=[1, 0, 7, 4])
    connect(shim, payload, oracle.port)
    shim.wait_for_status(payload.info_hash, "finished", lambda it: it["is_finished"])
    files = [[2, 3, 0].index(piece // 8) for piece in all_sent(oracle, 24)]
    assert len(files) == 24
    assert sum(it != place // 8 for place, it in enumerate(files)) <= 4, files
    oracle.assert_no_errors()


def test_deadlines(shim: Shim, oracle: Oracle, payload: Payload, tmp_path: Path) -> None:
    oracle.seed(payload.torrent, payload.save_path)
    shim.start_session(settings={"max_out_request_queue": 4})
    shim.add(payload, tmp_path / "ours", flags=["sequential_download"])
    # The first one has a beginning and no more, so it is not over when the deadlines are set.
    begun = 6
    with Oracle() as first:
        folder = tmp_path / "beginning"
        folder.mkdir()
        content = payload.root.read_bytes()[: begun * PIECE]
        (folder / payload.root.name).write_bytes(content)
        handle = first.add(payload.torrent, folder)
        first.wait_for_state(handle, lt.torrent_status.states.downloading)
        connect(shim, payload, first.port)
        shim.wait_for_status(
            payload.info_hash, "the beginning", lambda it: it["pieces_downloaded"] == begun
        )
        assert in_order(all_sent(first, begun))
        first.assert_no_errors()
    for place, piece in enumerate((50, 40, 45)):
        shim.call(
            "set_piece_deadline",
            torrent_id=payload.info_hash,
            piece=piece,
            milliseconds=place * 100,
        )
    connect(shim, payload, oracle.port)
    shim.wait_until_seeding(payload.info_hash)
    pieces = all_sent(oracle, 61 - begun)
    assert sorted(pieces) == list(range(begun, 61))
    early = [piece for piece in pieces if piece >= 40][:3]
    assert set(early) == {50, 40, 45}
    # The rest goes on in its order.
    rest = [piece for piece in pieces if piece not in early]
    assert in_order(rest), rest
    assert pieces.index(45) < 10
    oracle.assert_no_errors()


def test_a_late_joiner_gets_it_from_those_that_came_before(
    start_shim: Callable[..., Shim], oracle: Oracle, payload: Payload, tmp_path: Path
) -> None:
    """The seed leaves; then one of ours and one of libtorrent's come to what is left."""
    first = start_shim()
    port = first.start_session(settings={"allow_multiple_connections_per_ip": True})
    first.add(payload, tmp_path / "first")
    middle = oracle.add(payload.torrent, tmp_path / "middle")
    # Before that it turns us away, and nobody calls again within a minute.
    oracle.wait_for_state(middle, lt.torrent_status.states.downloading)
    with Oracle() as seed:
        seed.seed(payload.torrent, payload.save_path)
        connect(first, payload, seed.port)
        connect(first, payload, oracle.port)
        first.wait_until_seeding(payload.info_hash)
    wait_until(lambda: middle.status().num_pieces == 61, "it is passed on")
    late = start_shim()
    late.start_session(settings={"allow_multiple_connections_per_ip": True})
    late.add(payload, tmp_path / "late")
    connect(late, payload, port)
    connect(late, payload, oracle.port)
    late.wait_until_seeding(payload.info_hash)
    late.call("flush_cache", torrent_id=payload.info_hash)
    payload.assert_same(tmp_path / "late")
    with Oracle() as last:
        handle = last.add(payload.torrent, tmp_path / "last")
        handle.connect_peer(("127.0.0.1", late.port))
        last.wait_for("torrent_finished")
        last.assert_no_errors()


def cpu_seconds(shim: Shim) -> float:
    """Time that the process has used of the processors."""
    fields = Path(f"/proc/{shim.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_nothing_but_liars_who_come_back_from_everywhere(
    shim: Shim, payload: Payload, tmp_path: Path
) -> None:
    shim.start_session()
    shim.add(payload, tmp_path / "ours")
    wrong = bytes(byte ^ 1 for byte in payload.root.read_bytes())
    with ExitStack() as stack:
        liars = []
        for number in range(12):
            address = f"127.0.0.{100 + number}"
            settings = {
                "listen_interfaces": f"{address}:0",
                "outgoing_interfaces": address,
                "upload_rate_limit": 2_000_000,
            }
            liar = stack.enter_context(Oracle(settings))
            folder = tmp_path / address
            folder.mkdir()
            file = folder / payload.root.name
            file.write_bytes(payload.root.read_bytes())
            handle = liar.seed(payload.torrent, folder)
            # It has been checked: from now on it is another file.
            file.write_bytes(wrong)
            liars.append((address, liar, handle))
        for address, liar, _ in liars:
            shim.call("connect_peer", torrent_id=payload.info_hash, ip=address, port=liar.port)
        banned = {shim.wait_for_alert("ip_ban")["banned_address"] for _ in liars}
        assert banned == {address for address, _, _ in liars}
        wait_until(
            lambda: not shim.call("get_peers", torrent_id=payload.info_hash)["peers"], "alone"
        )
        # They call again and again, and we are told of them again and again.
        before, begun = cpu_seconds(shim), time.monotonic()
        received: list[int] = []
        while time.monotonic() - begun < 3:
            for address, liar, handle in liars:
                handle.connect_peer(("127.0.0.1", shim.port))
                shim.call("connect_peer", torrent_id=payload.info_hash, ip=address, port=liar.port)
            stats = shim.call("get_engine_stats")["stats"]
            received.append(stats["net.recv_payload_bytes"])
            time.sleep(0.1)
        used = (cpu_seconds(shim) - before) / (time.monotonic() - begun)
        assert used < 0.2, f"{used:.0%} of a processor"
        assert stats["ses.num_piece_passed"] == 0
        # Nothing more is asked for.
        assert received[-1] == received[len(received) // 2] > 0
        # Parole finds each out by a piece of its own, or a few.
        assert received[-1] <= 4 * payload.size, f"{received[-1]} of {payload.size}"
