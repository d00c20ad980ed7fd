"""What is told right after a command belongs to that command, whoever asks and however."""

from __future__ import annotations

import random
from pathlib import Path

from harness.payload import KIB, single_file
from harness.rpc import Shim

PIECE = 16 * KIB


def test_an_earlier_check_does_not_answer_a_later_one(
    shim: Shim, rng: random.Random, tmp_path: Path
) -> None:
    payload = single_file(tmp_path / "seed", rng, PIECE, 20 * PIECE)
    shim.start_session(settings={"alert_mask": 0xFFFF_FFFF, "status_update_interval": 20})
    torrent_id = shim.seed(payload)
    file = next(path for path in payload.save_path.rglob("*") if path.is_file())
    for piece in range(5):
        # The alerts of the check before are not taken yet.
        with file.open("r+b") as damaged:
            damaged.seek(piece * PIECE)
            byte = damaged.read(1)
            damaged.seek(piece * PIECE)
            damaged.write(bytes([byte[0] ^ 1]))
        shim.call("force_recheck", torrent_id=torrent_id)
        assert not shim.status(torrent_id)["is_seeding"]
        shim.wait_for_alert("torrent_checked", torrent_id)
        status = shim.status(torrent_id)
        assert status["pieces_downloaded"] == 20 - piece - 1, status
        assert not status["is_finished"]


def test_trackers_and_pauses_show_at_once(shim: Shim, rng: random.Random, tmp_path: Path) -> None:
    payload = single_file(tmp_path / "seed", rng, PIECE, 20 * PIECE)
    shim.start_session()
    torrent_id = shim.seed(payload)
    url = "http://127.0.0.1:9/announce"
    for _ in range(10):
        shim.call("add_tracker", torrent_id=torrent_id, url=url)
        listed = shim.call("get_trackers", torrent_id=torrent_id)["trackers"]
        assert [tracker["url"] for tracker in listed] == [url]
        shim.call("remove_tracker", torrent_id=torrent_id, url=url)
        assert shim.call("get_trackers", torrent_id=torrent_id)["trackers"] == []
        shim.call("pause_torrent", torrent_id=torrent_id)
        assert shim.status(torrent_id)["paused"]
        shim.call("resume_torrent", torrent_id=torrent_id)
        assert not shim.status(torrent_id)["paused"]
