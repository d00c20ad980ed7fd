#!/usr/bin/env python3
"""Loopback throughput of torrent-rpc beside libtorrent's, in both directions.

Each round moves one payload libtorrent -> ours, libtorrent -> libtorrent and
ours -> libtorrent, each side in a process of its own, in an order that rotates from round
to round; ratios are taken within a round. Every copy is compared with the payload.
Run it with ./build.sh bench, or with a Python that has libtorrent.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import shlex
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import isolation
import machine
import payload as payloads
import report
import transfer
from participant import Engine, Participant, ParticipantError

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LIBTORRENT = "libtorrent"
OURS = "ours"
FEEDER = "feeder"
SINK = "sink"

# One plain TCP connection on loopback and nothing beside it, by libtorrent's names, for
# both engines.
ISOLATED: dict[str, Any] = {
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_ip_notifier": False,
    "dht_bootstrap_nodes": "",
    "allow_multiple_connections_per_ip": True,
    "enable_outgoing_utp": False,
    "enable_incoming_utp": False,
    "out_enc_policy": 2,
    "in_enc_policy": 2,
    # Errors, and the "finished" that ends a transfer.
    "alert_mask": 0x1 | 0x40,
}

# libtorrent as fast as it gets here, about twice its defaults: the send buffers of its own
# high_performance_seed preset, a disk thread for each core, and larger socket buffers. The
# rest of that preset, other disk back ends and deeper request queues made it slower or no
# faster.
TUNED: dict[str, Any] = {
    "send_buffer_low_watermark": 1 << 20,
    "send_buffer_watermark": 3 << 20,
    "send_buffer_watermark_factor": 150,
    "send_socket_buffer_size": 1 << 20,
    "recv_socket_buffer_size": 1 << 20,
    "aio_threads": min(10, os.cpu_count() or 1),
}


def main() -> int:
    options = parse_options()
    # Told to stop, it leaves no participant and no data behind either.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    libtorrent = libtorrent_engine(options)
    print(isolation.enter())
    size = options.size
    work, where = payloads.make_work_dir(size, options.dir)
    print(f"{where}, {size // payloads.MIB} MiB in pieces of {options.piece_size // 1024} KiB")
    try:
        engines = {LIBTORRENT: libtorrent}
        if options.only != "baseline":
            engines[OURS] = our_engine(options.rpc, work)
        if options.partner == "raw":
            engines |= raw_peers()
        comparisons = comparisons_of(options)
        payloads.touch_memory(work, 2 * size)
        payload = payloads.make(work, size, options.piece_size)
        rounds = run_rounds(options, engines, comparisons, payload, work)
    except ParticipantError as error:
        print(f"benchmark failed: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(work, ignore_errors=True)

    print()
    print(report.table(rounds, comparisons))
    if OURS in engines:
        print()
        print(report.ratios(rounds, comparisons))
    print()
    print(report.LEGEND)
    if note := report.noise(rounds):
        print(note)
    if options.json:
        write_json(options, rounds)
    return 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--size", type=byte_count, default="1G", help="payload, as 256M or 1G (default 1G)"
    )
    parser.add_argument(
        "--piece-size", type=byte_count, default="1M", help="a power of two (default 1M)"
    )
    parser.add_argument("--rounds", type=positive, default=5, help="default 5")
    parser.add_argument(
        "--only", choices=["baseline"], help="baseline: libtorrent alone, without ours"
    )
    parser.add_argument(
        "--partner",
        choices=["libtorrent", "raw"],
        default="libtorrent",
        help="who is at the other end: libtorrent (default), or torrent-bench's feeder and sink, "
        "which neither hash nor store and so leave the machine to the engine under test",
    )
    parser.add_argument(
        "--rpc",
        help="command line of torrent-rpc (default $TORRENT_RPC, else Cargo's release build)",
    )
    parser.add_argument("--dir", type=Path, help="where the data goes (default /dev/shm)")
    parser.add_argument(
        "--wait-quiet",
        type=positive,
        default=0,
        metavar="SECONDS",
        help="wait so long at most, before each transfer, for an idle machine",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the raw numbers")
    parser.add_argument(
        "--timeout", type=positive, default=120, help="seconds for any one step (default 120)"
    )
    parser.add_argument(
        "--lt-config",
        choices=["tuned", "default"],
        default="tuned",
        help="libtorrent at its fastest (default), or as it comes",
    )
    parser.add_argument(
        "--lt-disk", choices=["pread", "mmap", "posix"], help="libtorrent's disk back end"
    )
    parser.add_argument(
        "--lt-set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a further setting of libtorrent's",
    )
    options = parser.parse_args()
    if options.piece_size & (options.piece_size - 1) or options.piece_size < 16 * 1024:
        parser.error("--piece-size must be a power of two of at least 16K")
    return options


def byte_count(text: str) -> int:
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    number, unit = (text[:-1], units[text[-1].upper()]) if text[-1:].upper() in units else (text, 1)
    return positive(number) * unit


def positive(text: str) -> int:
    number = int(text)
    if number <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return number


def libtorrent_engine(options: argparse.Namespace) -> Engine:
    if importlib.util.find_spec("libtorrent") is None:
        raise SystemExit(
            f"{sys.executable} has no libtorrent: run ./build.sh bench, which installs it, "
            "or pip install -r oracle_tests/requirements.txt"
        )
    command = [sys.executable, str(HERE / "lt_peer.py")]
    if options.lt_disk:
        command += ["--disk-io", options.lt_disk]
    settings = ISOLATED | (TUNED if options.lt_config == "tuned" else {})
    for assignment in options.lt_set:
        name, _, value = assignment.partition("=")
        try:
            settings[name] = json.loads(value)
        except ValueError:
            settings[name] = value
    return Engine(LIBTORRENT, command, settings)


def our_engine(rpc: str | None, work: Path) -> Engine:
    command = shlex.split(rpc) if rpc else [built("torrent-rpc", "TORRENT_RPC")]
    # An engine refuses settings that it does not have (yet): it is given those it lists.
    with Participant(Engine(OURS, command, {}), "settings", work, timeout=30) as ours:
        ours.call("init", listen_port=0, download_dir=str(work), settings={})
        known = ours.call("get_settings")["settings"]
        ours.shut_down()
    return Engine(OURS, command, {name: ISOLATED[name] for name in ISOLATED if name in known})


def raw_peers() -> dict[str, Engine]:
    program = built("torrent-bench", "TORRENT_BENCH")
    return {
        FEEDER: Engine(FEEDER, [program, "feeder"], {}),
        SINK: Engine(SINK, [program, "sink"], {}, stores=False),
    }


def built(program: str, variable: str) -> str:
    """The path of one of our programs: what the environment says, else where Cargo puts it."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    path = os.environ.get(variable) or str(target / "release" / program)
    if shutil.which(path) is None:
        raise ParticipantError(
            f"{path} is not there: cargo build --release -p {program} makes it, "
            f"and ${variable} names another"
        )
    return path


def comparisons_of(options: argparse.Namespace) -> list[report.Comparison]:
    seeder, leecher = (FEEDER, SINK) if options.partner == "raw" else (LIBTORRENT, LIBTORRENT)
    ours = options.only != "baseline"
    return [
        report.Comparison("leech", (seeder, OURS) if ours else None, (seeder, LIBTORRENT)),
        report.Comparison("seed", (OURS, leecher) if ours else None, (LIBTORRENT, leecher)),
    ]


def run_rounds(
    options: argparse.Namespace,
    engines: dict[str, Engine],
    comparisons: list[report.Comparison],
    payload: payloads.Payload,
    work: Path,
) -> list[report.Round]:
    # Each once, in order: libtorrent -> libtorrent is the reference of both directions.
    pairs = list(dict.fromkeys(pair for one in comparisons for pair in one.pairs()))
    rounds = []
    for number in range(options.rounds):
        this_round: report.Round = {}
        first = number % len(pairs)
        for seeder, leecher in pairs[first:] + pairs[:first]:
            machine.wait_until_quiet(options.wait_quiet)
            done = transfer.run(engines[seeder], engines[leecher], payload, work, options.timeout)
            print(f"round {number + 1}: {report.progress(done)}", flush=True)
            this_round[seeder, leecher] = done
        rounds.append(this_round)
    return rounds


def write_json(options: argparse.Namespace, rounds: list[report.Round]) -> None:
    document = {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "kernel": platform.release(),
        "cores": os.cpu_count(),
        "size": options.size,
        "piece_size": options.piece_size,
        "rounds": [[one.to_json() for one in this_round.values()] for this_round in rounds],
    }
    options.json.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
