"""One transfer between two engines: started, timed, verified and cleaned away."""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import machine
from isolation import loopback_bytes
from participant import Engine, Participant, ParticipantError
from payload import Payload

# The clock starts when this much has crossed the loopback interface: by then payload
# flows, and it is too little of the whole to matter.
FIRST_DATA_BYTES = 256 * 1024
# What an engine still does just after it said "finished" counts as its work too.
SETTLE_SECONDS = 0.1


@dataclass(frozen=True)
class Cost:
    """What one side spent on the transfer, from the request to connect until it settled."""

    cpu_seconds: float
    # Most memory resident during the transfer, mapped files and shared memory included,
    # and how much of that came on top of the process before its session was there.
    peak_bytes: int
    grown_bytes: int


@dataclass(frozen=True)
class Transfer:
    """The numbers of one verified transfer."""

    seeder: str
    leecher: str
    size: int
    # From the first data on the wire until the leecher says that it is finished.
    seconds: float
    # From the request to connect until the first data: timers, not throughput.
    start_seconds: float
    seeder_cost: Cost
    leecher_cost: Cost
    # What other processes used of the machine's CPU meanwhile (0 to 1): noise.
    others_share: float

    def rate(self) -> float:
        """Bytes a second."""
        return self.size / self.seconds

    def to_json(self) -> dict[str, Any]:
        """The raw numbers."""
        return asdict(self)


def run(
    seeding: Engine, leeching: Engine, payload: Payload, work: Path, timeout: float
) -> Transfer:
    """Moves the payload from a new process of one engine to a new one of the other.

    Raises `ParticipantError` where an engine fails, takes longer than `timeout` seconds
    for a step, or delivers other bytes than the payload's."""
    copy_dir = work / "copy"
    copy_dir.mkdir()
    try:
        with ExitStack() as stack:
            seeder = stack.enter_context(Participant(seeding, "seeder", work, timeout))
            leecher = stack.enter_context(Participant(leeching, "leecher", work, timeout))
            transfer = _measure(seeder, leecher, payload, copy_dir, timeout)
            leecher.shut_down()
            seeder.shut_down()
        if leeching.stores and not payload.same_as(copy_dir):
            raise ParticipantError(
                f"{leeching.name} says that it finished, but its copy is not the payload"
            )
        return transfer
    finally:
        shutil.rmtree(copy_dir)


def _measure(
    seeder: Participant, leecher: Participant, payload: Payload, copy_dir: Path, timeout: float
) -> Transfer:
    sides = (seeder, leecher)
    before_session = [_idle_bytes(side) for side in sides]
    port = _start_session(seeder, payload.seed_dir)
    _start_session(leecher, copy_dir)

    seeding = seeder.call(
        "add_torrent_and_seed", path=str(payload.torrent), data_dir=str(payload.seed_dir)
    )["torrent_id"]
    _wait_for_status(seeder, seeding, lambda status: status["is_seeding"], timeout)
    leeching = leecher.call("add_torrent_file", path=str(payload.torrent), save_path=str(copy_dir))[
        "torrent_id"
    ]
    # 3 is libtorrent's number for "downloading".
    _wait_for_status(leecher, leeching, lambda status: status["state"] == 3, timeout)

    for side in sides:
        side.reset_peak()
    busy_before = machine.busy_seconds()
    cpu_before = [side.cpu_seconds() for side in sides]
    wire_before = loopback_bytes()
    asked = time.perf_counter()
    leecher.call("connect_peer", torrent_id=leeching, ip="127.0.0.1", port=port)
    finished = leecher.send(
        "wait_for_alert",
        type_name="torrent_finished",
        torrent_id=leeching,
        timeout_ms=int(timeout * 1000),
    )
    while loopback_bytes() - wire_before < FIRST_DATA_BYTES and not leecher.has_answer(0.001):
        if time.perf_counter() - asked > timeout:
            raise ParticipantError(f"no data moved within {timeout:.0f} s")
    first_data = time.perf_counter()
    leecher.receive(finished)
    done = time.perf_counter()

    time.sleep(SETTLE_SECONDS)
    spent = [side.cpu_seconds() - before for side, before in zip(sides, cpu_before, strict=True)]
    others = machine.busy_seconds() - busy_before - sum(spent)
    elapsed = time.perf_counter() - asked
    costs = []
    for side, cpu, base in zip(sides, spent, before_session, strict=True):
        peak = side.peak_resident_bytes()
        costs.append(Cost(cpu, peak, max(0, peak - base)))
    return Transfer(
        seeder.engine.name,
        leecher.engine.name,
        payload.size,
        done - first_data,
        first_data - asked,
        *costs,
        others_share=max(0.0, machine.share(others, elapsed)),
    )


def _idle_bytes(side: Participant) -> int:
    # The answer shows that the program is loaded and waits.
    side.call("version")
    return side.resident_bytes()


def _start_session(side: Participant, download_dir: Path) -> int:
    answer = side.call(
        "init", listen_port=0, download_dir=str(download_dir), settings=side.engine.settings
    )
    return answer["listen_port"]


def _wait_for_status(side: Participant, torrent_id: str, reached: Any, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while True:
        status = side.call("get_torrent_status", torrent_id=torrent_id)["status"]
        if status.get("error"):
            raise ParticipantError(f"{side.engine.name}: {status['error']}")
        if reached(status):
            return
        if time.monotonic() > deadline:
            raise ParticipantError(
                f"{side.engine.name} is not ready within {timeout:.0f} s: {status}"
            )
        time.sleep(0.02)
