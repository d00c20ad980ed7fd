"""Alerts: the same list as libtorrent's, and in the same situation the same alerts, with the
same categories, numbers and values."""

from __future__ import annotations

import csv
import random
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libtorrent as lt
import pytest
from harness.oracle import Alert, Oracle
from harness.payload import KIB, Payload, many_files, single_file
from harness.peer import (
    BITFIELD,
    CHOKE,
    EXTENDED,
    HAVE,
    HAVE_NONE,
    INTERESTED,
    REQUEST,
    UNCHOKE,
    Peer,
)
from harness.ports import closed_port
from harness.rpc import ROOT, Shim

LIST = ROOT / "oracle_tests" / "libtorrent_alerts.csv"
EVERYTHING = 0xFFFFFFFF
# All that libtorrent has but its logs, of which there are thousands, and the old statistics.
THEIR_MASK = EVERYTHING & ~(1 << 11 | 1 << 13 | 1 << 14 | 1 << 15 | 1 << 20)
# Classes of libtorrent's that are bases of others.
BASES = {"torrent", "peer", "tracker"}
# Alerts that the Python binding has no class for.
WITHOUT_CLASS = {
    "trackerid",
    "dht_error",
    "session_error",
    "lsd_peer",
    "incoming_request",
    "dht_direct_response",
    "mmap_cache",
    "file_priorities",
    "file_status",
}
# Numbers of ours begin there.
OWN = 10_000
SEEDING = lt.torrent_status.states.seeding


@dataclass(frozen=True)
class Row:
    """What is known of one of libtorrent's alerts."""

    number: int
    name: str
    category: int
    missing: str


def rows() -> dict[str, Row]:
    """libtorrent's alerts by name."""
    bits = {name: int(value) for name, value in vars(lt.alert_category).items() if name[0] != "_"}
    with LIST.open(newline="") as file:
        return {
            row["name"]: Row(
                int(row["number"]),
                row["name"],
                sum(bits[name] for name in row["categories"].split("|") if name),
                row["missing"],
            )
            for row in csv.DictReader(file)
        }


def test_the_list_has_every_class_of_libtorrents() -> None:
    classes = {name.removesuffix("_alert") for name in dir(lt) if name.endswith("_alert")}
    assert set(rows()) == classes - BASES | WITHOUT_CLASS


def test_operations_and_reasons_have_libtorrents_numbers() -> None:
    """As our sources name them; their own tests hold numbers to names."""
    operations = (ROOT / "rust/engine/src/operation.rs").read_text()
    theirs = {name: int(value) for name, value in lt.operation_t.names.items()}
    assert numbers_in(operations).items() <= theirs.items()
    reasons = (ROOT / "rust/engine/src/event/peer.rs").read_text()
    theirs = {name: int(value) for name, value in lt.close_reason_t.names.items()}
    assert numbers_in(reasons).items() <= theirs.items()


def numbers_in(source: str) -> dict[str, int]:
    """The lines `Variant = number, "name";` of a table."""
    found = {}
    for line in source.splitlines():
        head, equals, tail = line.strip().partition(" = ")
        number, comma, name = tail.partition(", ")
        if equals and comma and head.isidentifier() and number.isdigit() and name[-1:] == ";":
            found[name.strip('";')] = int(number)
    assert len(found) > 10
    return found


# --- a transfer ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Heard:
    """What both sides told of downloading the same torrent."""

    payload: Payload
    ours: list[dict[str, Any]]
    theirs: list[Alert]

    def of_ours(self, name: str) -> list[dict[str, Any]]:
        """Our alerts of a type."""
        return [alert for alert in self.ours if alert["type_name"] == name]

    def of_theirs(self, name: str) -> list[Alert]:
        """libtorrent's alerts of a type."""
        return [alert for alert in self.theirs if alert.what == name]


@pytest.fixture
def heard(start_shim: Callable[..., Shim], rng: random.Random, tmp_path: Path) -> Heard:
    """We download from libtorrent; another libtorrent downloads from another of us."""
    payload = many_files(tmp_path / "seed", rng, 16 * KIB)
    settings = {
        "alert_mask": EVERYTHING,
        "alert_queue_size": 100_000,
        # It is libtorrent that closes the connection when both have everything.
        "close_redundant_connections": False,
    }
    with Oracle({"alert_mask": THEIR_MASK}) as seed:
        seed.seed(payload.torrent, payload.save_path)
        ours = start_shim()
        ours.start_session(settings=settings)
        torrent_id = ours.call(
            "add_torrent_file",
            path=str(payload.torrent_path),
            save_path=str(tmp_path / "ours"),
        )["torrent_id"]
        ours.call("connect_peer", torrent_id=torrent_id, ip="127.0.0.1", port=seed.port)
        ours.wait_until_seeding(torrent_id)
        ours.call("flush_cache", torrent_id=torrent_id)
        ours.call("post_session_stats")
        own = everything(ours, torrent_id)
        uploader = start_shim()
        uploader.start_session(settings=settings)
        uploader.seed(payload)
        with Oracle({"alert_mask": THEIR_MASK}) as leecher:
            handle = leecher.add(payload.torrent, tmp_path / "theirs")
            handle.connect_peer(("127.0.0.1", uploader.port))
            leecher.wait_for_state(handle, SEEDING)
            handle.flush_cache()
            if not any(alert.what == "peer_disconnected" for alert in leecher.alerts):
                leecher.wait_for("peer_disconnected")
            leecher.session.post_session_stats()
            leecher.wait_for("session_stats")
            uploaded = everything(uploader, torrent_id)
            seed.take_alerts()
            return Heard(payload, own + uploaded, leecher.alerts + seed.alerts)


def everything(shim: Shim, torrent_id: str) -> list[dict[str, Any]]:
    """All alerts up to the end of the torrent's only connection."""
    last = shim.wait_for_alert("peer_disconnected", torrent_id)
    return [*shim.call("get_alerts")["alerts"], last]


def test_alerts_of_a_transfer_are_those_of_the_list(heard: Heard) -> None:
    known = rows()
    for alert in heard.theirs:
        assert known[alert.what].category == alert.category, alert.what
    names = set()
    for alert in heard.ours:
        names.add(alert["type_name"])
        if alert["type"] > OWN:
            continue
        row = known[alert["type_name"]]
        assert alert["type"] == row.number, row.name
        assert alert["category"] == row.category, row.name
        assert alert["what"] == row.name
        assert alert["message"]
        assert alert["timestamp_ms"] > 0
        assert row.missing == ""
    expected = {alert.what for alert in heard.theirs}
    # The second socket of theirs, and what depends on the moment.
    expected -= {"peer_error", "performance", "request_dropped", "block_timeout"}
    expected -= {row.name for row in known.values() if row.missing}
    assert expected - names <= {"torrent_resumed"}
    assert {"incoming_request", "block_uploaded", "incoming_connection"} <= names


def test_alerts_of_pieces_and_files_say_the_same(heard: Heard) -> None:
    pieces = heard.payload.size // (16 * KIB)
    for name, ours, theirs in [
        ("piece_finished", "piece_index", "piece_index"),
        ("file_completed", "file_index", "index"),
    ]:
        own = sorted(alert[ours] for alert in heard.of_ours(name))
        other = sorted(alert.fields[theirs] for alert in heard.of_theirs(name))
        # Each side's list has the pieces twice: of the check of the seed, and of the download.
        assert set(own) == set(other), name
        assert len(own) >= (pieces if name == "piece_finished" else 1)
    for name in ("block_finished", "block_downloading", "block_uploaded"):
        own = {(alert["piece_index"], alert["block_index"]) for alert in heard.of_ours(name)}
        other = {
            (alert.fields["piece_index"], alert.fields["block_index"])
            for alert in heard.of_theirs(name)
        }
        # libtorrent does not tell of a block that completes its piece.
        assert own == other if name != "block_finished" else other <= own, name


def test_a_download_passes_the_same_states(heard: Heard) -> None:
    def downloads(steps: list[tuple[int, int]]) -> set[tuple[int, int]]:
        return {step for step in steps if 3 in step or 5 in step}

    own = [(alert["prev_state"], alert["state"]) for alert in heard.of_ours("state_changed")]
    other = [
        (int(alert.fields["prev_state"]), int(alert.fields["state"]))
        for alert in heard.of_theirs("state_changed")
    ]
    # downloading to finished to seeding, on both sides.
    assert {(3, 4), (4, 5)} <= downloads(own) & downloads(other)


def test_connections_are_told_of_alike(heard: Heard) -> None:
    connects = heard.of_ours("peer_connect")
    assert {alert["direction"] for alert in connects} == {0, 1}
    for alert in connects + heard.of_ours("peer_disconnected"):
        assert alert["socket_type"] == 0
        assert alert["peer_ip"] == "127.0.0.1"
        assert alert["peer_port"] > 0
        assert len(alert["pid"]) == 40
        assert alert["pid"] != "0" * 40
    theirs = {int(alert.fields["socket_type"]) for alert in heard.of_theirs("peer_disconnected")}
    assert theirs == {0}
    # libtorrent closes it, because both have everything, and cannot say so over TCP.
    none = lt.close_reason_t.none
    assert {alert["reason"] for alert in heard.of_ours("peer_disconnected")} == {int(none)}
    assert {alert.fields["reason"] for alert in heard.of_theirs("peer_disconnected")} == {none}
    for alert in heard.of_ours("peer_disconnected"):
        operation = lt.operation_name(lt.operation_t.values[alert["op"]])
        assert operation == alert["operation"]


def test_requests_are_told_of_block_by_block(heard: Heard) -> None:
    asked = heard.of_ours("incoming_request")
    for request in asked:
        assert request["start"] % (16 * KIB) == 0
        assert 0 < request["length"] <= 16 * KIB
    sent = {(it["piece_index"], it["block_index"]) for it in heard.of_ours("block_uploaded")}
    assert sent <= {(it["piece_index"], it["start"] // (16 * KIB)) for it in asked}


# --- questions ----------------------------------------------------------------------------


def test_questions_are_answered_whatever_the_mask(
    shim: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    payload = many_files(tmp_path / "seed", rng, 64 * KIB)
    shim.start_session(settings={"alert_mask": 0})
    torrent_id = shim.seed(payload)
    assert shim.call("get_alerts")["alerts"] == []
    theirs = oracle.seed(payload.torrent, payload.save_path)
    own = ask(shim, torrent_id, "post_file_progress", "file_progress")
    assert own["files"] == list(theirs.file_progress())
    own = ask(shim, torrent_id, "post_file_priorities", "file_priorities")
    assert own["priorities"] == list(theirs.get_file_priorities())
    own = ask(shim, torrent_id, "post_trackers", "tracker_list")
    assert [it["url"] for it in own["trackers"]] == [it["url"] for it in theirs.trackers()]
    assert ask(shim, torrent_id, "post_download_queue", "piece_info")["piece_info"] == []
    assert ask(shim, torrent_id, "post_peer_info", "peer_info")["peer_info"] == []
    own = ask(shim, torrent_id, "post_piece_availability", "piece_availability")
    assert set(own["piece_availability"]) == {0}
    [status] = ask(shim, torrent_id, "post_status", "state_update")["torrent_status"]
    assert status["info_hash"] == torrent_id
    assert status["is_seeding"]
    # One is opened when its piece is read.
    shim.call("read_piece", torrent_id=torrent_id, piece=0)
    files = ask(shim, torrent_id, "post_file_status", "file_status")["state"]
    assert files
    assert all(file["open_mode"] in (0, 2) and file["last_use"] < 3600 for file in files)


def ask(shim: Shim, torrent_id: str, command: str, answer: str) -> dict[str, Any]:
    """Asks a torrent, and returns the alert that answers."""
    shim.call(command, torrent_id=torrent_id)
    alert = shim.wait_for_alert(answer, torrent_id if command != "post_status" else None)
    row = rows()[answer]
    assert (alert["type"], alert["category"]) == (row.number, row.category)
    return alert


def test_the_peers_that_are_asked_for_are_those_connected(
    ours: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    payload = single_file(tmp_path / "seed", rng, 16 * KIB, 1_000_000)
    handle = oracle.seed(payload.torrent, payload.save_path)
    handle.set_upload_limit(20_000)
    torrent_id = ours.call(
        "add_torrent_file", path=str(payload.torrent_path), save_path=str(tmp_path / "save")
    )["torrent_id"]
    ours.call("connect_peer", torrent_id=torrent_id, ip="127.0.0.1", port=oracle.port)
    ours.wait_for_alert("piece_finished", torrent_id)
    [peer] = ask(ours, torrent_id, "post_peer_info", "peer_info")["peer_info"]
    assert (peer["ip"], peer["port"]) == ("127.0.0.1", oracle.port)
    own = ask(ours, torrent_id, "post_piece_availability", "piece_availability")
    assert set(own["piece_availability"]) == {1}
    pieces = ask(ours, torrent_id, "post_download_queue", "piece_info")["piece_info"]
    assert all(piece["blocks_in_piece"] == 1 for piece in pieces)


def test_only_what_changed_is_updated(ours: Shim, rng: random.Random, tmp_path: Path) -> None:
    payloads = [single_file(tmp_path / f"seed{at}", rng, 16 * KIB, 40_000 + at) for at in range(2)]
    for payload in payloads:
        ours.seed(payload)
    first = updated(ours)
    assert set(first) == {payload.info_hash for payload in payloads}
    ours.call("pause_torrent", torrent_id=payloads[0].info_hash)
    ours.wait_for_alert("torrent_paused", payloads[0].info_hash)
    ours.wait_for_status(payloads[0].info_hash, "paused", lambda status: status["paused"])
    assert updated(ours)[payloads[0].info_hash]["paused"]
    # A paused torrent stays as it is.
    assert payloads[0].info_hash not in updated(ours)


def updated(shim: Shim) -> dict[str, dict[str, Any]]:
    """The torrents that changed since the last time, by hash."""
    shim.call("post_torrent_updates")
    statuses = shim.wait_for_alert("state_update")["torrent_status"]
    return {status["info_hash"]: status for status in statuses}


# --- the queue ----------------------------------------------------------------------------


def test_a_full_queue_keeps_and_reports_the_same(shim: Shim) -> None:
    """Critical alerts get three times the queue, and what does not fit is named by type."""
    shim.start_session(settings={"alert_mask": EVERYTHING})
    shim.wait_for_alert("listen_succeeded")
    shim.call("get_alerts")
    shim.call("post_session_stats")
    shim.wait_for_alert("session_stats")
    shim.call("get_alerts")
    shim.call("apply_settings", settings={"alert_queue_size": 2})
    with Oracle({"alert_mask": THEIR_MASK}) as oracle:
        oracle.session.post_session_stats()
        oracle.wait_for("session_stats")
        oracle.take_alerts()
        oracle.session.apply_settings({"alert_queue_size": 2})
        for _ in range(10):
            shim.call("post_session_stats")
            oracle.session.post_session_stats()
        # It answers after it has done that.
        oracle.session.get_settings()
        own = shim.call("get_alerts")["alerts"]
        theirs = oracle.take_alerts()
    assert [alert["type_name"] for alert in own] == [alert.what for alert in theirs]
    assert [alert["type_name"] for alert in own] == ["session_stats"] * 6 + ["alerts_dropped"]
    number = rows()["session_stats"].number
    assert own[-1]["dropped"] == 4
    assert own[-1]["dropped_alerts"] == [number]
    bits = theirs[-1].fields["dropped_alerts"]
    assert [at for at, dropped in enumerate(bits) if dropped] == [number]
    # It is told once.
    assert shim.call("get_alerts")["alerts"] == []


@pytest.mark.parametrize("category", ["status", "storage", "connect", "piece_progress", "error"])
def test_the_mask_decides_what_is_heard(
    start_shim: Callable[..., Shim], rng: random.Random, tmp_path: Path, category: str
) -> None:
    mask = int(getattr(lt.alert_category, category))
    payload = single_file(tmp_path / "seed", rng, 16 * KIB, 200_000)
    seed, leecher = start_shim(), start_shim()
    seed.start_session()
    torrent_id = seed.seed(payload)
    leecher.start_session(settings={"alert_mask": mask})
    leecher.call(
        "add_torrent_file", path=str(payload.torrent_path), save_path=str(tmp_path / "save")
    )
    leecher.call("connect_peer", torrent_id=torrent_id, ip="127.0.0.1", port=seed.port)
    leecher.wait_until_seeding(torrent_id)
    # The status is there a moment before the alerts; the torrent answers after those.
    leecher.call("flush_cache", torrent_id=torrent_id)
    own = leecher.call("get_alerts")["alerts"]
    assert all(alert["category"] & mask for alert in own)
    with Oracle({"alert_mask": mask}) as oracle:
        handle = oracle.add(payload.torrent, tmp_path / "theirs")
        handle.connect_peer(("127.0.0.1", seed.port))
        oracle.wait_for_state(handle, SEEDING)
        oracle.take_alerts()
        theirs = {alert.what for alert in oracle.alerts if alert.category & mask}
    known = rows()
    theirs -= {row.name for row in known.values() if row.missing}
    # What the mask lets through comes, whichever else comes.
    moments = {"peer_disconnected", "cache_flushed", "torrent_resumed", "peer_error"}
    assert theirs - moments <= {alert["type_name"] for alert in own}


# --- files --------------------------------------------------------------------------------


def test_a_file_that_is_gone_is_told_of_alike(
    shim: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    """The same operation and error when a seed's file cannot be renamed or read."""
    payload = single_file(tmp_path / "seed", rng, 16 * KIB, 100_000)
    shim.start_session(settings={"alert_mask": EVERYTHING})
    torrent_id = shim.seed(payload)
    shim.call("rename_file", torrent_id=torrent_id, index=0, name="another name")
    own = shim.wait_for_alert("file_renamed", torrent_id)
    assert own["category"] == rows()["file_renamed"].category
    moved = tmp_path / "moved"
    shim.call("move_storage", torrent_id=torrent_id, path=str(moved))
    own = shim.wait_for_alert("storage_moved", torrent_id)
    assert Path(own["storage_path"]) == moved
    assert Path(own["old_path"]) == payload.save_path
    (moved / "another name").rename(moved / "elsewhere")
    with pytest.raises(Exception, match="read_piece"):
        shim.call("read_piece", torrent_id=torrent_id, piece=0)
    own = shim.wait_for_alert("file_error", torrent_id)
    assert own["operation"] == lt.operation_name(lt.operation_t.values[own["op"]])
    assert own["operation"] in ("file_open", "file_stat", "file_read")
    assert own["filename"].endswith("another name")


# --- why connections end ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ((HAVE, 1_000_000), "invalid_have_message"),
        ((HAVE, 1, 1), "invalid_have_message"),
        ((CHOKE, 1), "invalid_choke_message"),
        ((BITFIELD, 1), "invalid_bitfield_message"),
        ((REQUEST, 1), "invalid_request_message"),
        ((EXTENDED, 0x00FF_FFFF), "invalid_extended_message"),
    ],
)
def test_what_a_peer_did_wrong_has_a_number(
    shim: Shim,
    oracle: Oracle,
    rng: random.Random,
    tmp_path: Path,
    message: tuple[int, ...],
    reason: str,
) -> None:
    payload = single_file(tmp_path / "seed", rng, 16 * KIB, 100_000)
    port = shim.start_session(settings={"alert_mask": EVERYTHING})
    torrent_id = shim.seed(payload)
    with Peer.connect(port, torrent_id) as peer:
        peer.send(*message)
        peer.wait_until_closed()
    own = shim.wait_for_alert("peer_error", torrent_id)
    assert own["error"]
    ended = shim.wait_for_alert("peer_disconnected", torrent_id)
    assert ended["reason"] == int(lt.close_reason_t.names[reason])
    assert ended["op"] == own["op"] == int(lt.operation_t.bittorrent)
    assert ended["pid"].startswith(b"-XX0001-".hex())
    # libtorrent calls it an error too, in the same operation.
    if message == (EXTENDED, 0x00FF_FFFF):
        return
    oracle.seed(payload.torrent, payload.save_path)
    with Peer.connect(oracle.port, torrent_id) as peer:
        peer.send(*message)
        peer.wait_until_closed()
    assert int(oracle.wait_for("peer_error").fields["op"]) == own["op"]


def test_who_cannot_be_reached_is_told_of_alike(
    ours: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    payload = single_file(tmp_path / "seed", rng, 16 * KIB, 100_000)
    torrent_id = ours.call(
        "add_torrent_file", path=str(payload.torrent_path), save_path=str(tmp_path / "save")
    )["torrent_id"]
    with closed_port() as port:
        ours.call("connect_peer", torrent_id=torrent_id, ip="127.0.0.1", port=port)
        own = ours.wait_for_alert("peer_disconnected", torrent_id)
        handle = oracle.add(payload.torrent, tmp_path / "theirs")
        oracle.wait_for("torrent_checked")
        handle.connect_peer(("127.0.0.1", port))
        theirs = oracle.wait_for("peer_disconnected")
    assert own["op"] == int(theirs.fields["op"]) == int(lt.operation_t.connect)
    assert own["reason"] == int(theirs.fields["reason"]) == 0
    assert own["pid"] == "0" * 40


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="processes cannot be stopped")
def test_what_a_peer_did_is_told_of_before_its_end(
    shim: Shim, rng: random.Random, tmp_path: Path
) -> None:
    payload = single_file(tmp_path / "seed", rng, 16 * KIB, 20 * 16 * KIB)
    port = shim.start_session(
        settings={"alert_mask": EVERYTHING, "allow_multiple_connections_per_ip": True}
    )
    torrent_id = shim.seed(payload)
    for _ in range(50):
        shim.call("get_alerts")
        with Peer.connect(port, torrent_id) as peer:
            peer.send(HAVE_NONE)
            peer.send(INTERESTED)
            peer.wait_for(UNCHOKE)
            # It asks and is gone while nobody looks: the engine learns of both at once.
            shim.process.send_signal(signal.SIGSTOP)
            for piece in range(20):
                peer.send(REQUEST, piece, 0, 16 * KIB)
            peer.end_sending()
            shim.process.send_signal(signal.SIGCONT)
            shim.wait_for_alert("peer_disconnected", torrent_id)
        alerts = shim.call("get_alerts")["alerts"]
        asked = [it["piece_index"] for it in alerts if it["type_name"] == "incoming_request"]
        assert asked == list(range(20))


# --- settings that stand in the way -------------------------------------------------------


def test_a_small_request_queue_is_warned_of_alike(
    start_shim: Callable[..., Shim], rng: random.Random, tmp_path: Path
) -> None:
    payload = single_file(tmp_path / "seed", rng, 64 * KIB, 4_000_000)
    settings = {"max_out_request_queue": 2}
    seed, leecher = start_shim(), start_shim()
    # Slow enough to last for most of a minute, in which libtorrent looks, and open to both.
    port = seed.start_session(
        settings={"upload_rate_limit": 100_000, "allow_multiple_connections_per_ip": True}
    )
    torrent_id = seed.seed(payload)
    leecher.start_session(settings=settings | {"alert_mask": EVERYTHING})
    leecher.call(
        "add_torrent_file", path=str(payload.torrent_path), save_path=str(tmp_path / "save")
    )
    leecher.call("connect_peer", torrent_id=torrent_id, ip="127.0.0.1", port=port)
    own = leecher.wait_for_alert("performance", torrent_id)
    with Oracle(settings | {"alert_mask": THEIR_MASK}) as oracle:
        handle = oracle.add(payload.torrent, tmp_path / "theirs")
        oracle.wait_for("torrent_checked")
        handle.connect_peer(("127.0.0.1", port))
        limit_reached = int(lt.performance_warning_t.outstanding_request_limit_reached)
        theirs = oracle.wait_for(
            "performance", lambda alert: int(alert.fields["warning_code"]) == limit_reached
        )
    assert own["warning_code"] == int(theirs.fields["warning_code"])
    assert own["category"] == theirs.category
    numbers = numbers_of_warnings((ROOT / "rust/engine/src/event/performance.rs").read_text())
    assert numbers <= {int(value) for value in lt.performance_warning_t.names.values()}


def numbers_of_warnings(source: str) -> set[int]:
    """The numbers of the variants of an enumeration."""
    lines = [line.strip().partition(" = ") for line in source.splitlines()]
    found = {int(tail[:-1]) for _, _, tail in lines if tail[:-1].isdigit() and tail[-1] == ","}
    assert len(found) > 5
    return found
