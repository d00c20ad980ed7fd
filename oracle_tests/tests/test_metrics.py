"""Statistics: libtorrent's names and types, and after the same transfer the same values."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from pathlib import Path

import libtorrent as lt
import pytest
from harness.oracle import Oracle
from harness.payload import KIB, many_files, single_file
from harness.rpc import ROOT, Shim
from harness.waiting import wait_until

LIST = ROOT / "oracle_tests" / "libtorrent_metrics.csv"
# Metrics of our own.
OWN = {"tracker.num_announces": "counter", "tracker.num_failed_announces": "counter"}
BLOCK = 16 * KIB
SEEDING = lt.torrent_status.states.seeding
# It is libtorrent that closes the connection when both have everything.
PATIENT = {"close_redundant_connections": False}

# Where libtorrent counts the messages of the Fast extension that come to it.
MISCOUNTED = {
    "suggest": "have",
    "have_all": "bitfield",
    "have_none": "request",
    "reject": "piece",
    "allowed_fast": "cancel",
}
# Every message of these sorts has arrived when the last block has.
BEFORE_THE_END = ["request", "bitfield", "have_all", "have_none", "ext_handshake", "suggest"]
# A message of these may be on its way when the connection is closed.
UNTIL_THE_END = ["interested", "not_interested", "have", "cancel", "choke", "unchoke", "reject"]


def theirs() -> dict[str, str]:
    """libtorrent's metrics and their types."""
    return {
        metric.name: str(metric.type).rpartition(".")[2] for metric in lt.session_stats_metrics()
    }


def ours(shim: Shim) -> dict[str, str]:
    """Our metrics and their types, as the header of the statistics tells them."""
    shim.call("post_session_stats")
    metrics = shim.wait_for_alert("session_stats_header")["metrics"]
    named = {metric["name"]: metric["type"] for metric in metrics}
    assert len(named) == len(metrics)
    return named


def stats(shim: Shim) -> dict[str, int]:
    """Our numbers now."""
    return shim.call("get_engine_stats")["stats"]


def values(oracle: Oracle) -> dict[str, int]:
    """libtorrent's numbers now."""
    oracle.take_alerts()
    oracle.session.post_session_stats()
    return oracle.wait_for("session_stats").fields["values"]


def test_our_metrics_are_libtorrents(shim: Shim) -> None:
    shim.start_session()
    named = ours(shim)
    assert named.keys() == stats(shim).keys()
    assert {name: named[name] for name in OWN} == OWN
    known = theirs()
    assert {name: named[name] for name in named.keys() - OWN.keys()}.items() <= known.items()


def test_the_list_says_of_each_metric_of_libtorrents_where_it_is(shim: Shim) -> None:
    shim.start_session()
    with LIST.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["name"]: row["type"] for row in rows} == theirs()
    here = {row["name"] for row in rows if not row["missing"]}
    assert here == ours(shim).keys() - OWN.keys()


def test_the_header_comes_once_and_first(shim: Shim) -> None:
    shim.start_session(settings={"alert_mask": 0})
    for _ in range(2):
        shim.call("post_session_stats")
        shim.wait_for_alert("session_stats")
    names = [alert["type_name"] for alert in shim.call("get_alerts")["alerts"]]
    assert names == ["session_stats_header"]


def test_numbers_of_a_download(
    shim: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    """We download from libtorrent: what went out there came in here."""
    payload = many_files(tmp_path / "seed", rng, 64 * KIB)
    oracle.seed(payload.torrent, payload.save_path)
    shim.start_session(settings=PATIENT)
    torrent_id = shim.call(
        "add_torrent_file", path=str(payload.torrent_path), save_path=str(tmp_path / "save")
    )["torrent_id"]
    shim.call("connect_peer", torrent_id=torrent_id, ip="127.0.0.1", port=oracle.port)
    shim.wait_until_seeding(torrent_id)
    shim.wait_for_alert("peer_disconnected", torrent_id)
    own = settled(shim, "net.recv_payload_bytes", payload.size)
    oracle.wait_for("peer_disconnected")
    other = values(oracle)
    compare_messages(own, other)
    compare_payload(own, put_right(other, own), payload.size)
    info = shim.call("get_torrent_info", torrent_id=torrent_id)["info"]
    pieces = info["num_pieces"]
    assert own["ses.num_piece_passed"] == own["ses.num_have_pieces"] == pieces
    assert other["ses.num_have_pieces"] == pieces
    assert own["ses.num_seeding_torrents"] == other["ses.num_seeding_torrents"] == 1
    assert own["peer.connection_attempts"] == other["peer.incoming_connections"] == 1
    assert own["net.has_incoming_connections"] == 0
    assert own["peer.disconnected_peers"] == other["peer.disconnected_peers"] == 1
    assert own["peer.eof_peers"] == 1
    assert own["peer.num_peers_connected"] == other["peer.num_peers_connected"] == 0
    blocks = sum(-(-min(64 * KIB, payload.size - at) // BLOCK) for at in piece_starts(payload.size))
    assert own["ses.num_incoming_piece"] == blocks
    assert own["disk.num_blocks_written"] == own["disk.num_blocks_hashed"] == blocks
    assert own["disk.queued_write_bytes"] == 0
    assert own["disk.num_write_ops"] > 0
    assert own["disk.file_pool_size"] <= 40


def test_numbers_of_an_upload(
    shim: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    """libtorrent downloads from us: what went out here came in there."""
    payload = single_file(tmp_path / "seed", rng, 64 * KIB, 3_000_017)
    port = shim.start_session(settings=PATIENT)
    torrent_id = shim.seed(payload)
    checked = stats(shim)
    blocks = sum(-(-min(64 * KIB, payload.size - at) // BLOCK) for at in piece_starts(payload.size))
    assert checked["disk.num_blocks_hashed"] == checked["disk.num_blocks_read"] == blocks
    handle = oracle.add(payload.torrent, tmp_path / "save")
    oracle.wait_for("torrent_checked")
    handle.connect_peer(("127.0.0.1", port))
    oracle.wait_for_state(handle, SEEDING)
    shim.wait_for_alert("peer_disconnected", torrent_id)
    own = settled(shim, "net.sent_payload_bytes", payload.size)
    other = values(oracle)
    compare_messages(own, other)
    compare_payload(other, own, payload.size)
    assert own["ses.num_outgoing_piece"] == own["peer.piece_requests"] == blocks
    assert own["disk.num_blocks_read"] >= 2 * blocks
    assert own["disk.num_blocks_written"] == 0
    assert other["disk.num_blocks_written"] == blocks
    assert own["peer.incoming_connections"] == other["peer.connection_attempts"] == 1
    assert own["net.has_incoming_connections"] == 1


def piece_starts(size: int) -> range:
    """Where pieces of 64 KiB begin."""
    return range(0, size, 64 * KIB)


def settled(shim: Shim, name: str, value: int) -> dict[str, int]:
    """Our numbers when this one is that high, which the last snapshot makes it."""

    def look() -> dict[str, int] | None:
        now = stats(shim)
        ended = now["peer.num_peers_connected"] == 0
        return now if ended and now[name] >= value else None

    return wait_until(look, name)


def compare_messages(own: dict[str, int], other: dict[str, int]) -> None:
    """Every message that one side sent came to the other."""
    other = put_right(other, own)
    for sender, receiver in [(own, other), (other, own)]:
        for sort in BEFORE_THE_END:
            sent = sender[f"ses.num_outgoing_{sort}"]
            assert sent == receiver[f"ses.num_incoming_{sort}"], sort
        for sort in UNTIL_THE_END:
            sent = sender[f"ses.num_outgoing_{sort}"]
            came = receiver[f"ses.num_incoming_{sort}"]
            assert came <= sent, sort
        extended = sender["ses.num_outgoing_extended"] + sender["ses.num_outgoing_ext_handshake"]
        assert receiver["ses.num_incoming_extended"] <= extended
        assert receiver["ses.num_incoming_ext_handshake"] == 1


def put_right(theirs: dict[str, int], ours: dict[str, int]) -> dict[str, int]:
    """libtorrent's numbers as they should be: it counts a message of the Fast extension that
    comes as one of another sort that goes (`packet_finished` of its `bt_peer_connection.cpp`)."""
    right = dict(theirs)
    for fast, counted_as in MISCOUNTED.items():
        came = ours[f"ses.num_outgoing_{fast}"]
        right[f"ses.num_outgoing_{counted_as}"] -= came
        right[f"ses.num_incoming_{fast}"] += came
    return right


def compare_payload(downloader: dict[str, int], uploader: dict[str, int], size: int) -> None:
    """As much came as went, and each block once."""
    assert downloader["net.recv_payload_bytes"] == uploader["net.sent_payload_bytes"] == size
    assert downloader["net.recv_redundant_bytes"] == downloader["net.recv_failed_bytes"] == 0
    assert downloader["ses.num_incoming_piece"] == uploader["ses.num_outgoing_piece"]
    assert downloader["ses.num_piece_failed"] == 0
    # The protocol costs something, but not much.
    assert size < downloader["net.recv_bytes"] <= uploader["net.sent_bytes"] < size * 1.05 + 10_000


@pytest.mark.parametrize("auto_managed", [True, False])
def test_a_torrent_is_counted_by_what_it_does(
    shim: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path, auto_managed: bool
) -> None:
    payload = single_file(tmp_path / "seed", rng, 16 * KIB, 50_000)
    shim.start_session()
    torrent_id = shim.call(
        "add_torrent_file", path=str(payload.torrent_path), save_path=str(tmp_path / "save")
    )["torrent_id"]
    handle = oracle.add(payload.torrent, tmp_path / "theirs")
    oracle.wait_for("torrent_checked")
    wait_for_gauge(shim, oracle, "ses.num_downloading_torrents")
    if auto_managed:
        shim.call("apply_settings", settings={"active_downloads": 0})
        shim.call("set_torrent_options", torrent_id=torrent_id, auto_managed=True)
        oracle.session.apply_settings({"active_downloads": 0})
        handle.set_flags(lt.torrent_flags.auto_managed)
        wait_for_gauge(shim, oracle, "ses.num_queued_download_torrents")
    else:
        shim.call("pause_torrent", torrent_id=torrent_id)
        handle.pause()
        wait_for_gauge(shim, oracle, "ses.num_stopped_torrents")


def wait_for_gauge(shim: Shim, oracle: Oracle, name: str) -> None:
    """Waits until both sides count one torrent there, and none elsewhere."""

    def one(numbers: Callable[[], dict[str, int]]) -> bool:
        now = numbers()
        torrents = [key for key in now if key.startswith("ses.") and key.endswith("_torrents")]
        return {key for key in torrents if now[key] and key != "ses.non_filter_torrents"} == {name}

    wait_until(lambda: one(lambda: stats(shim)), f"we count {name}")
    wait_until(lambda: one(lambda: values(oracle)), f"libtorrent counts {name}")
