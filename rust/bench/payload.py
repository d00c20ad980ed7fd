"""What is transferred: the payload, its torrent, the room for copies, and the comparison
that proves a copy right. Independent of both engines."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024
NAME = "payload.bin"
_CHUNK = 8 * MIB


@dataclass(frozen=True)
class Payload:
    """One file in `seed_dir`, described by the v1 torrent at `torrent`."""

    seed_dir: Path
    torrent: Path
    size: int
    piece_size: int

    def same_as(self, copy_dir: Path) -> bool:
        """Whether the copy in `copy_dir` is the payload, byte for byte."""
        copy = copy_dir / NAME
        if not copy.is_file() or copy.stat().st_size != self.size:
            return False
        with (self.seed_dir / NAME).open("rb") as ours, copy.open("rb") as theirs:
            while chunk := ours.read(_CHUNK):
                if chunk != theirs.read(_CHUNK):
                    return False
        return True


def make(work: Path, size: int, piece_size: int) -> Payload:
    """Writes `size` random bytes (the same in every run) and their torrent into `work`."""
    seed_dir = work / "seed"
    seed_dir.mkdir()
    generator = random.Random(size)
    hashes = bytearray()
    pending = b""
    with (seed_dir / NAME).open("wb") as file:
        left = size
        while left:
            chunk = generator.randbytes(min(left, _CHUNK))
            file.write(chunk)
            left -= len(chunk)
            pending += chunk
            whole = len(pending) if not left else len(pending) - len(pending) % piece_size
            for start in range(0, whole, piece_size):
                hashes += hashlib.sha1(pending[start : min(start + piece_size, whole)]).digest()
            pending = pending[whole:]
    torrent = work / "payload.torrent"
    torrent.write_bytes(_torrent_file(size, piece_size, bytes(hashes)))
    return Payload(seed_dir, torrent, size, piece_size)


def make_work_dir(size: int, parent: Path | None) -> tuple[Path, str]:
    """A folder with room for the payload and a copy, in memory where that fits, and a
    line that says where it is."""
    needed = 2 * size + 64 * MIB
    if parent is None:
        shm = Path("/dev/shm")
        in_memory = shm.is_dir() and os.access(shm, os.W_OK)
        # Participants need memory too, beside the files.
        if in_memory and min(shutil.disk_usage(shm).free, _available_memory()) > needed + size:
            parent = shm
        else:
            parent = Path(tempfile.gettempdir())
    free = shutil.disk_usage(parent).free
    if free < needed:
        raise SystemExit(
            f"{parent} has {free // MIB} MiB free, the benchmark needs {needed // MIB} MiB: "
            "choose another folder with --dir or less data with --size"
        )
    work = Path(tempfile.mkdtemp(prefix="torrent-bench-", dir=parent))
    return work, f"data in {parent}" + ("" if parent == Path("/dev/shm") else " (not in memory)")


def touch_memory(work: Path, size: int) -> None:
    """Writes `size` bytes and frees them again. The first use of a page in a virtual
    machine costs several times the later ones, and the first round would pay for it."""
    scratch = work / "touched"
    zeros = bytes(_CHUNK)
    with scratch.open("wb") as file:
        for _ in range(0, size, _CHUNK):
            file.write(zeros)
    scratch.unlink()


def _torrent_file(size: int, piece_size: int, hashes: bytes) -> bytes:
    name = NAME.encode()
    return b"d4:infod6:lengthi%de4:name%d:%b12:piece lengthi%de6:pieces%d:%bee" % (
        size,
        len(name),
        name,
        piece_size,
        len(hashes),
        hashes,
    )


def _available_memory() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0
