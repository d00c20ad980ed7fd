"""Torrents that wait in the queue learn how their swarms are, although they announce nothing."""

from __future__ import annotations

import random
from pathlib import Path

from harness.payload import KIB, describe
from harness.rpc import Shim
from harness.udp_tracker import UdpTracker


def test_a_torrent_that_waits_is_asked_about(
    shim: Shim, rng: random.Random, tmp_path: Path
) -> None:
    with UdpTracker() as tracker:
        port = shim.start_session(
            settings={
                "active_downloads": 1,
                "dont_count_slow_torrents": False,
                "auto_scrape_interval": 1,
                "auto_scrape_min_interval": 1,
            }
        )
        torrents = []
        for number in range(2):
            folder = tmp_path / f"seed{number}"
            folder.mkdir()
            root = folder / "waits.bin"
            root.write_bytes(rng.randbytes(100_003))
            payload = describe(root, 16 * KIB, [tracker.url])
            torrents.append(
                shim.call(
                    "add_torrent_file",
                    path=str(payload.torrent_path),
                    save_path=str(tmp_path / f"save{number}"),
                    flags=["auto_managed", "paused"],
                )["torrent_id"]
            )
        first, second = torrents
        alert = shim.wait_for_alert("scrape_reply", second)
        assert (alert["complete"], alert["incomplete"]) == (5, 7)
        status = shim.wait_for_status(
            second, "five seeds", lambda status: status["num_complete"] == 5
        )
        assert status["paused"]
        assert status["is_auto_managed"]
        # Again and again, and only the one that waits.
        shim.wait_for_alert("scrape_reply", second)
        assert {told.info_hash for told in tracker.announces_of(port)} == {first}
        shim.call("set_torrent_options", torrent_id=second, auto_managed=False)
        shim.call("shutdown")
        assert {told.info_hash for told in tracker.announces_of(port)} == {first}
