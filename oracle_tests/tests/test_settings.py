"""Our settings beside libtorrent's."""

from __future__ import annotations

import json
import random
from pathlib import Path

import libtorrent as lt
from harness.oracle import Oracle
from harness.payload import KIB, single_file
from harness.rpc import Shim
from harness.waiting import wait_until

REPOSITORY = Path(__file__).parents[2]
LISTED = REPOSITORY / "rust/core/src/settings/libtorrent_defaults.txt"


def listed() -> dict[str, object]:
    """The defaults that our unit tests hold our own against."""
    lines = LISTED.read_text().splitlines()
    return {name: json.loads(value) for name, value in (line.split(" ", 1) for line in lines)}


def test_the_list_of_libtorrents_defaults_is_right() -> None:
    defaults = lt.default_settings()
    names = listed()
    assert {name: names[name] for name in defaults} == defaults
    # Texts that are empty by default are not among those that it lists.
    settings = lt.session({"listen_interfaces": ""}).get_settings()
    for name in names.keys() - defaults.keys():
        assert settings[name] == names[name] == "", name
    assert settings.keys() - names.keys() == set()


def test_libtorrents_defaults_are_taken_or_refused_as_features(ours: Shim) -> None:
    before = ours.call("get_settings")["settings"]
    refused = []
    # Those of this session.
    skipped = {"listen_interfaces", "alert_mask", "alert_queue_size"}
    for name, default in listed().items():
        if name in skipped:
            continue
        answer = ours.ask("apply_settings", settings={name: default})
        if answer["ok"]:
            continue
        error = answer["error"]
        assert f"'{name}'" in error
        refused.append(name)
    assert refused == [
        "enable_dht",
        "enable_ip_notifier",
        "enable_lsd",
        "enable_natpmp",
        "enable_upnp",
    ]
    after = ours.call("get_settings")["settings"]
    changed = {name for name in after if after[name] != before[name]}
    # Two that have an effect here and none there, players who share an address, uTP, which is
    # off here for the time being, and who we are.
    assert changed == {
        "allow_multiple_connections_per_ip",
        "enable_incoming_utp",
        "enable_outgoing_utp",
        "half_open_limit",
        "ignore_limits_on_local_network",
        "user_agent",
        "peer_fingerprint",
    }
    assert "a proxy" in ours.refuse("apply_settings", settings={"proxy_type": 2}).message


def test_settings_of_who_we_are_and_how_we_work_count_while_it_runs(
    ours: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    settings = {"peer_fingerprint": "-XY1234-", "aio_threads": 1}
    ours.call("apply_settings", settings=settings)
    payload = single_file(tmp_path / "data", rng, 64 * KIB, 2_000_000)
    ours.seed(payload)
    leecher = oracle.add(payload.torrent, tmp_path / "save")
    # At this rate it would take minutes, in which it knows us.
    leecher.set_download_limit(10_000)
    leecher.connect_peer(("127.0.0.1", ours.port))
    seen = wait_until(
        lambda: [
            peer.pid.to_bytes() for peer in leecher.get_peer_info() if any(peer.pid.to_bytes())
        ],
        "libtorrent knows our peer id",
    )
    assert [pid[:8] for pid in seen] == [b"-XY1234-"]
    # One thread works alone, then several again.
    leecher.set_download_limit(0)
    ours.call("apply_settings", settings={"aio_threads": 4})
    oracle.wait_for_state(leecher, lt.torrent_status.states.seeding)
    oracle.assert_no_errors()
