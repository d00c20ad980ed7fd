"""Trackers that are broken or hostile: the fault is named, the next tier is asked, other
trackers hear of us as ever, and memory stays where it is."""

from __future__ import annotations

import gzip
import random
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness.bad_tracker import HEADERS, BadTracker, whole
from harness.bencode import bencode
from harness.oracle import Oracle
from harness.payload import KIB, Payload, describe
from harness.rpc import Shim
from harness.tracker import Tracker
from harness.udp_tracker import CONNECT, UdpTracker
from harness.waiting import wait_until

MIB = 1024 * KIB


def bomb() -> bytes:
    """An answer of a few KiB that unpacks to 64 MiB."""
    return whole(gzip.compress(bytes(64 * MIB)), b"Content-Encoding: gzip\r\n")


def redirect(to: str) -> bytes:
    return b"HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % to.encode()


REPLY = {"interval": 1800, "complete": 0, "incomplete": 0}

# What is answered, by name. After `None` there is silence.
ANSWERS: dict[str, list[bytes | None]] = {
    "not HTTP": [b"\x00\xff\x00garbage\r\n\r\n"],
    "nothing": [b""],
    "not bencoded": [whole(b"<html>hello</html>")],
    "a number": [whole(b"i5e")],
    "endless nesting": [whole(b"l" * 150_000)],
    "a huge length": [whole(b"d5:peers99999999999:")],
    "an error of the server": [b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"],
    "10 MiB": [whole(b"d3:fooi1e" + bytes(10 * MIB))],
    "a bomb": [bomb()],
    "a chunk of 2^64 bytes": [
        HEADERS + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nd\r\n"
    ],
    "a chunk of no number": [HEADERS + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nd\r\n"],
    "less than was said": [HEADERS + b"Content-Length: 100\r\n\r\nd8:interval"],
    "headers without an end": [HEADERS + b"X: " + bytes([65]) * (2 * MIB)],
    "silence": [None],
    "silence after the headers": [HEADERS + b"Content-Length: 100\r\n\r\n", None],
    "silence in the body": [HEADERS + b"Content-Length: 100\r\n\r\nd8:in", None],
    "redirects without an end": [redirect("/announce/again")],
}


def payload_of(trackers: list[str], rng: random.Random, folder: Path) -> Payload:
    """A payload whose torrent names these trackers, each a tier of its own."""
    folder.mkdir()
    root = folder / "tracked.bin"
    root.write_bytes(rng.randbytes(100_003))
    return describe(root, 16 * KIB, trackers)


def seed(shim: Shim, payload: Payload) -> None:
    shim.call(
        "add_torrent_and_seed", path=str(payload.torrent_path), data_dir=str(payload.save_path)
    )


def peak_memory(shim: Shim) -> int:
    """The most memory that the process ever had, in bytes."""
    for line in Path(f"/proc/{shim.process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * KIB
    raise AssertionError("no VmHWM")


# For those who never answer. Who does has as long as ever, so that no good tracker is too
# slow on a busy machine.
IMPATIENT = {"tracker_receive_timeout": 2, "tracker_completion_timeout": 4}
# In percent: a tracker that failed is asked again after 40 seconds.
BACKOFF = {"tracker_backoff": 700}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_broken_answer_is_named_and_the_next_tier_is_asked(
    shim: Shim, rng: random.Random, tmp_path: Path, name: str
) -> None:
    timeouts = IMPATIENT if None in ANSWERS[name] else {}
    with (
        BadTracker(ANSWERS[name]) as bad,
        Tracker() as good,
        Tracker() as unaffected,
        Oracle(timeouts) as oracle,
    ):
        payload = payload_of([bad.url, good.url], rng, tmp_path / "seed")
        other = payload_of([unaffected.url], rng, tmp_path / "other")
        port = shim.start_session(settings=BACKOFF | timeouts)
        before = peak_memory(shim)
        seed(shim, payload)
        seed(shim, other)
        alert = shim.wait_for_alert("tracker_error", payload.info_hash)
        assert alert["tracker_url"] == bad.url
        assert alert["error"]
        wait_until(lambda: good.announces_of(port), "the next tier hears of us")
        wait_until(lambda: unaffected.announces_of(port), "the other torrent's tracker too")
        first = shim.call("get_trackers", torrent_id=payload.info_hash)["trackers"][0]
        assert (first["fails"], first["verified"]) == (1, False)
        assert first["last_error"]
        assert peak_memory(shim) - before < 16 * MIB
        assert len(bad.requests) <= 10
        # libtorrent finds the same fault.
        oracle.seed(payload.torrent, payload.save_path)
        oracle.wait_for("tracker_error")
        wait_until(lambda: good.announces_of(oracle.port), "libtorrent goes on too")


@pytest.mark.parametrize(
    "interval", [{"interval": 0}, {"interval": -1}, {"interval": 2**40}, {"min interval": 2**40}]
)
def test_senseless_intervals(
    shim: Shim, rng: random.Random, tmp_path: Path, interval: dict[str, int]
) -> None:
    answer = whole(bencode(REPLY | {"peers": b""} | interval))
    with BadTracker([answer]) as tracker:
        payload = payload_of([tracker.url], rng, tmp_path / "seed")
        shim.start_session(settings={"min_announce_interval": 1})
        begun = time.monotonic()
        seed(shim, payload)
        shim.wait_for_alert("tracker_reply", payload.info_hash)
        status = shim.wait_for_status(
            payload.info_hash, "a next announce", lambda it: it["next_announce"] >= 0
        )
        requests = len(tracker.requests)
        elapsed = time.monotonic() - begun
        # Neither a flood nor never.
        assert 55 - elapsed <= status["next_announce"] <= 86_400, status["next_announce"]
        assert 1 <= requests <= 1 + elapsed // 55


class LyingUdpTracker(UdpTracker):
    """Sends lies before each answer."""

    lies: Callable[[bytes, bytes], list[tuple[bytes, bool]]]

    def __init__(self, lies: Callable[[bytes, bytes], list[tuple[bytes, bool]]]) -> None:
        super().__init__(interval=1234)
        self.lies = lies
        self.stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.stranger.bind(("127.0.0.1", 0))

    def __exit__(self, *details: Any) -> None:
        super().__exit__(*details)
        self.stranger.close()

    def _serve(self) -> None:
        while True:
            packet, sender = self._socket.recvfrom(4096)
            if not packet:
                return
            answer = self._answer(packet)
            if answer is None:
                continue
            for lie, by_stranger in self.lies(packet, answer):
                (self.stranger if by_stranger else self._socket).sendto(lie, sender)
            self._socket.sendto(answer, sender)


def other_transaction(answer: bytes) -> bytes:
    """The answer to something that was not asked."""
    (number,) = struct.unpack_from(">I", answer, 4)
    return answer[:4] + struct.pack(">I", number ^ 1) + answer[8:]


UDP_LIES: dict[str, Callable[[bytes, bytes], list[tuple[bytes, bool]]]] = {
    "another transaction": lambda _, answer: [(other_transaction(answer), False)],
    "an error of another transaction": lambda _, answer: [
        (struct.pack(">I", 3) + other_transaction(answer)[4:8] + b"lies", False)
    ],
    "another sender": lambda _, answer: [
        (struct.pack(">I", 3) + answer[4:8] + b"lies", True),
        (answer[:8] + bytes([255]) * (len(answer) - 8), True),
    ],
    "too short": lambda _, answer: [(answer[:length], False) for length in (0, 1, 4, 7)],
    "cut": lambda _, answer: [(answer[:12], False)] if len(answer) > 16 else [],
    "an unknown action": lambda _, answer: [(struct.pack(">I", 77) + answer[4:], False)],
    "another action": lambda _, answer: [
        (struct.pack(">I", 2) + answer[4:], False) if answer[3] == CONNECT else (b"", False)
    ],
    "noise": lambda _, answer: [(bytes([at] * at), False) for at in range(1, 250, 7)],
}


@pytest.mark.parametrize("name", UDP_LIES)
def test_what_no_udp_tracker_says_is_passed_over(
    shim: Shim, rng: random.Random, tmp_path: Path, name: str
) -> None:
    with LyingUdpTracker(UDP_LIES[name]) as tracker:
        payload = payload_of([tracker.url], rng, tmp_path / "seed")
        port = shim.start_session()
        seed(shim, payload)
        shim.wait_for_alert("tracker_reply", payload.info_hash)
        assert len(tracker.announces_of(port)) == 1
        (known,) = shim.call("get_trackers", torrent_id=payload.info_hash)["trackers"]
        assert (known["fails"], known["last_error"]) == (0, "")
        status = shim.wait_for_status(
            payload.info_hash, "a next announce", lambda it: it["next_announce"] > 0
        )
        assert 1100 < status["next_announce"] <= 1234


def test_a_session_with_dead_trackers_of_all_kinds_ends_soon(
    shim: Shim, rng: random.Random, tmp_path: Path
) -> None:
    with (
        BadTracker([None]) as silent,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute,
        socket.create_server(("127.0.0.1", 0)) as full,
        UdpTracker() as alive,
    ):
        mute.bind(("127.0.0.1", 0))
        urls = [
            silent.url,
            f"udp://127.0.0.1:{mute.getsockname()[1]}/announce",
            f"http://127.0.0.1:{full.getsockname()[1]}/announce",
            alive.url,
        ]
        payload = payload_of(urls, rng, tmp_path / "seed")
        patient = {"tracker_receive_timeout": 600, "tracker_completion_timeout": 600}
        port = shim.start_session(settings={"announce_to_all_tiers": True} | patient)
        seed(shim, payload)
        wait_until(lambda: alive.announces_of(port), "the living tracker hears of us")
        wait_until(lambda: silent.requests, "the silent one too")
        begun = time.monotonic()
        # Five seconds are what they get; whoever waited for them would wait ten minutes.
        shim.shut_down()
        assert time.monotonic() - begun < 45
        wait_until(
            lambda: alive.announces_of(port)[-1].event == "stopped",
            "the living tracker hears of the end",
        )


def test_nothing_on_this_machine_is_asked_but_trackers(
    shim: Shim, rng: random.Random, tmp_path: Path
) -> None:
    reply = whole(bencode(REPLY | {"peers": b""}))
    with BadTracker([reply]) as victim, Tracker() as good:
        at = f"http://127.0.0.1:{victim.port}"
        with BadTracker([redirect(f"{at}/admin?delete=all")]) as leading_astray:
            urls = [
                f"{at}/admin?delete=all",
                f"{at}/",
                f"{at}/admin/announce",
                leading_astray.url,
                good.url,
            ]
            payload = payload_of(urls, rng, tmp_path / "seed")
            port = shim.start_session(settings={"announce_to_all_tiers": True})
            seed(shim, payload)
            failed: set[str] = set()
            while failed != set(urls[:-1]):
                # One that failed may fail again before another has its turn.
                alert = shim.wait_for_alert("tracker_error", payload.info_hash)
                failed.add(alert["tracker_url"])
                assert failed <= set(urls[:-1])
            wait_until(lambda: good.announces_of(port), "the tracker is asked")
            assert victim.requests == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/announce", "gopher://x/"])
def test_other_schemes_are_no_trackers(
    shim: Shim, tracker: Tracker, rng: random.Random, tmp_path: Path, url: str
) -> None:
    payload = payload_of([url, tracker.url], rng, tmp_path / "seed")
    port = shim.start_session()
    seed(shim, payload)
    wait_until(lambda: tracker.announces_of(port), "the tracker is asked")
    # It is known to be one when its answer is there.
    shim.wait_for_alert("tracker_reply", payload.info_hash)
    known = shim.call("get_trackers", torrent_id=payload.info_hash)["trackers"]
    assert [entry["url"] for entry in known if entry["verified"]] == [tracker.url]
