"""What the shim promises about its lines, whatever the commands do."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from harness.payload import KIB, single_file
from harness.rpc import Shim

COMMANDS_ON_A_TORRENT = [
    "remove_torrent",
    "get_torrent_status",
    "get_torrent_info",
    "get_peers",
    "get_trackers",
    "get_file_progress",
    "get_piece_availability",
    "get_file_priorities",
    "get_piece_priorities",
    "pause_torrent",
    "resume_torrent",
    "force_recheck",
    "force_reannounce",
    "flush_cache",
    "clear_error",
    "set_torrent_options",
]

COMMANDS_ON_A_SESSION = [
    "list_torrents",
    "get_status",
    "get_engine_stats",
    "apply_settings",
    "get_settings",
    "get_alerts",
]


@pytest.mark.parametrize(
    "number", [1, -7, 2**70, 0.5, "text", "", [1, [2]], {"a": None}, True, None]
)
def test_the_id_comes_back_as_it_came(shim: Shim, number: Any) -> None:
    shim.send_line(json.dumps({"id": number, "cmd": "version"}))
    answer = shim.receive()
    assert answer["ok"] is True
    assert answer["id"] == number
    assert type(answer["id"]) is type(number)


def test_a_request_without_an_id_is_answered(shim: Shim) -> None:
    shim.send_line('{"cmd": "version"}')
    answer = shim.receive()
    assert answer["ok"] is True
    assert answer.get("id") is None


def test_the_version_says_who_answers(shim: Shim) -> None:
    version = shim.call("version")
    assert {"name", "version", "protocol"} <= version.keys()


@pytest.mark.parametrize(
    "line", [b"", b"hello", b"{", b'{"id": 1, "cmd": "version"', b"\xff\xfe", b"[" * 100_000]
)
def test_a_line_that_is_not_json_is_refused_and_the_next_is_answered(
    shim: Shim, line: bytes
) -> None:
    shim.send_line(line)
    answer = shim.receive()
    assert answer["ok"] is False
    assert answer["id"] is None
    assert answer["error"]
    assert answer["code"] == 600
    assert shim.call("version")["ok"]


@pytest.mark.parametrize(
    "request_line", ["[]", "5", '{"id": 3}', '{"id": 3, "cmd": 5}', '{"id":3,"cmd":"x","params":7}']
)
def test_json_that_is_no_request_is_refused(shim: Shim, request_line: str) -> None:
    shim.send_line(request_line)
    answer = shim.receive()
    assert answer["ok"] is False
    assert answer["id"] == (3 if request_line.startswith("{") else None)
    assert shim.call("version")["ok"]


def test_an_unknown_command_is_named(shim: Shim) -> None:
    shim.send_line('{"id": 5, "cmd": "foo"}')
    assert shim.receive() == {
        "id": 5,
        "ok": False,
        "error": "Unknown command 'foo'",
        "code": 600,
    }


def test_answers_come_in_the_order_of_the_requests(ours: Shim) -> None:
    commands = ["version", "get_settings", "foo", "wait_for_alert", "list_torrents", "get_status"]
    for number, command in enumerate(commands * 20):
        params = {"type_name": "torrent_paused", "timeout_ms": 1} if "wait" in command else {}
        ours.send_line(json.dumps({"id": number, "cmd": command, "params": params}))
    answers = [ours.receive()["id"] for _ in range(len(commands) * 20)]
    assert answers == list(range(len(commands) * 20))


# --- parameters -----------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS_ON_A_SESSION)
def test_without_a_session_commands_say_so(shim: Shim, command: str) -> None:
    error = shim.refuse(command)
    assert error.code == 100


@pytest.mark.parametrize("command", COMMANDS_ON_A_TORRENT)
@pytest.mark.parametrize("torrent_id", ["00" * 20, "nonsense", ""])
def test_an_unknown_torrent_is_named(ours: Shim, command: str, torrent_id: str) -> None:
    error = ours.refuse(command, torrent_id=torrent_id)
    assert f"'{torrent_id}'" in error.message
    assert error.code == 205


def test_wrong_parameters_are_named(ours: Shim) -> None:
    refused = [
        ("get_torrent_status", {}, "torrent_id"),
        ("get_torrent_status", {"torrent_id": 5}, "torrent_id"),
        ("list_torrents", {"extra": 1}, "extra"),
        ("add_torrent_file", {"path": ["a"]}, "path"),
        ("add_torrent_file", {"path": "a", "paused": "yes"}, "paused"),
        ("add_torrent_file", {"path": "a", "file_priorities": ["x"]}, "file_priorities"),
        ("add_torrent_file", {"path": "a", "flags": ["no_flag"]}, "no_flag"),
        ("add_magnet_uri", {"uri": "magnet:?", "no_such": 1}, "no_such"),
        ("get_alerts", {"max": -1}, "max"),
        ("get_alerts", {"max": 1.5}, "max"),
        ("wait_for_alert", {"type_name": "nonsense", "timeout_ms": 1}, "nonsense"),
        ("wait_for_alert", {"type_name": "torrent_paused", "timeout_ms": "1"}, "timeout_ms"),
        ("subscribe", {"type_names": "torrent_paused"}, "type_names"),
        ("apply_settings", {"settings": []}, "settings"),
        ("parse_torrent", {"data": "%%%"}, "data"),
    ]
    for command, params, name in refused:
        error = ours.refuse(command, **params)
        assert name in error.message, f"{command}: {error.message}"
        assert error.code == 600, f"{command}: {error}"


# --- settings -------------------------------------------------------------------------


def test_settings_are_read_changed_and_refused_by_name(ours: Shim) -> None:
    before = ours.call("get_settings")["settings"]
    assert before["enable_dht"] is False
    after = ours.call("apply_settings", settings={"connections_limit": 77})["settings"]
    assert after == before | {"connections_limit": 77}
    for settings, name in [
        ({"no_such_setting": 1}, "no_such_setting"),
        ({"connections_limit": "many"}, "connections_limit"),
        ({"connections_limit": -5}, "connections_limit"),
        ({"user_agent": 5}, "user_agent"),
    ]:
        # Together with a good one, which must not be applied either.
        error = ours.refuse("apply_settings", settings={"num_want": 11} | settings)
        assert name in error.message
        assert error.code == 600
    assert ours.call("get_settings")["settings"] == after


def test_init_refuses_unknown_settings_and_a_second_session(shim: Shim) -> None:
    error = shim.refuse("init", listen_port=0, settings={"no_such_setting": 1})
    assert "no_such_setting" in error.message
    assert shim.refuse("init", listen_port=70000).code == 600
    shim.start_session()
    assert shim.refuse("init", listen_port=0).code == 101


def test_init_names_the_port_that_the_system_chose(shim: Shim) -> None:
    port = shim.call("init", listen_port=0)["listen_port"]
    assert 0 < port < 65536
    engine = shim.call("get_status")["engine"]
    assert engine["listen_port"] == port
    assert engine["listening"]


# --- alerts ---------------------------------------------------------------------------


def test_alerts_are_taken_once_and_waited_for(
    ours: Shim, rng: random.Random, tmp_path: Path
) -> None:
    payload = single_file(tmp_path / "seed", rng, 16 * KIB, 100_000)
    torrent_id = ours.call(
        "add_torrent_and_seed", path=str(payload.torrent_path), data_dir=str(payload.save_path)
    )["torrent_id"]
    alert = ours.wait_for_alert("torrent_checked", torrent_id)
    assert alert["type_name"] == alert["what"] == "torrent_checked"
    assert alert["type"] == 41
    assert alert["info_hash"] == torrent_id
    assert {"category", "timestamp_ms", "message"} <= alert.keys()

    error = ours.refuse("wait_for_alert", type_name="torrent_checked", timeout_ms=0)
    assert error.code == 303
    assert "TIMEOUT" in error.message
    ours.wait_until_seeding(torrent_id)
    names = [alert["type_name"] for alert in ours.call("get_alerts")["alerts"]]
    assert "add_torrent" in names
    assert "torrent_checked" not in names
    assert ours.call("get_alerts", max=0)["alerts"] == []


def test_only_events_that_were_subscribed_to_are_mixed_in(
    ours: Shim, rng: random.Random, tmp_path: Path
) -> None:
    payload = single_file(tmp_path / "seed", rng, 16 * KIB, 100_000)
    add = {"path": str(payload.torrent_path), "data_dir": str(payload.save_path)}
    torrent_id = ours.call("add_torrent_and_seed", **add)["torrent_id"]
    ours.wait_until_seeding(torrent_id)
    assert ours.events == []

    ours.call("subscribe", type_names=["torrent_paused", "torrent_removed"])
    ours.call("pause_torrent", torrent_id=torrent_id)
    event = ours.receive_event()
    assert event["event"] == "torrent_paused"
    assert event["info_hash"] == torrent_id
    ours.call("remove_torrent", torrent_id=torrent_id)
    assert ours.receive_event()["event"] == "torrent_removed"

    ours.call("subscribe", type_names="*")
    ours.call("add_torrent_and_seed", **add)
    assert ours.receive_event()["event"] == "add_torrent"
    ours.wait_until_seeding(torrent_id)

    ours.call("subscribe", type_names=[])
    ours.events.clear()
    ours.call("pause_torrent", torrent_id=torrent_id)
    ours.wait_for_alert("torrent_paused", torrent_id)
    assert ours.events == []


# --- torrents -------------------------------------------------------------------------


def test_every_row_about_a_torrent_answers(ours: Shim, rng: random.Random, tmp_path: Path) -> None:
    payload = single_file(tmp_path / "seed", rng, 16 * KIB, 100_000)
    torrent_id = ours.seed(payload)
    assert ours.call("list_torrents")["torrents"] == [torrent_id]
    # The same torrent again is the same torrent.
    again = ours.call(
        "add_torrent_file", path=str(payload.torrent_path), save_path=str(payload.save_path)
    )
    assert again["torrent_id"] == torrent_id

    info = ours.call("get_torrent_info", torrent_id=torrent_id)["info"]
    assert info == ours.call("get_torrent_info", path=str(payload.torrent_path))["info"]
    assert info["info_hash"] == torrent_id
    assert ours.call("get_status")["torrents"].keys() == {torrent_id}
    assert ours.call("get_engine_stats")["stats"]
    assert ours.call("get_peers", torrent_id=torrent_id)["peers"] == []
    assert ours.call("get_trackers", torrent_id=torrent_id)["trackers"] == []
    assert ours.call("get_piece_availability", torrent_id=torrent_id)["array"] == [0] * 7
    assert ours.call("get_piece_priorities", torrent_id=torrent_id)["array"] == [4] * 7

    options = {
        "max_connections": 9,
        "max_uploads": 3,
        "sequential_download": True,
        "piece_priorities": [7, 0],
    }
    ours.call("set_torrent_options", torrent_id=torrent_id, **options)
    assert ours.call("get_piece_priorities", torrent_id=torrent_id)["array"] == [7, 0] + [4] * 5
    status = ours.wait_for_status(
        torrent_id, "the options show", lambda status: status["connections_limit"] == 9
    )
    assert status["uploads_limit"] == 3
    assert status["is_sequential_download"] is True
    error = ours.refuse("set_torrent_options", torrent_id=torrent_id, super_duper=True)
    assert "super_duper" in error.message

    ours.call("clear_error", torrent_id=torrent_id)
    ours.call("flush_cache", torrent_id=torrent_id)
    ours.call("remove_torrent", torrent_id=torrent_id)
    assert ours.call("list_torrents")["torrents"] == []
    assert payload.root.exists()
    assert ours.refuse("get_torrent_status", torrent_id=torrent_id).code == 205


def test_files_are_deleted_when_asked(ours: Shim, rng: random.Random, tmp_path: Path) -> None:
    payload = single_file(tmp_path / "seed", rng, 16 * KIB, 100_000)
    stranger = payload.save_path / "not of the torrent"
    stranger.write_text("stays")
    torrent_id = ours.seed(payload)
    ours.call("remove_torrent", torrent_id=torrent_id, delete_files=True)
    ours.wait_for_alert("torrent_removed", torrent_id)
    assert not payload.root.exists()
    assert stranger.read_text() == "stays"


# --- the end --------------------------------------------------------------------------


@pytest.mark.parametrize("session", [False, True])
def test_shutdown_answers_and_ends(shim: Shim, session: bool) -> None:
    if session:
        shim.start_session()
    shim.shut_down()


@pytest.mark.parametrize("session", [False, True])
def test_the_end_of_the_input_ends_it(shim: Shim, session: bool) -> None:
    if session:
        shim.start_session()
    shim.close_input()
    shim.expect_exit()


def test_requests_before_the_end_of_the_input_are_answered(shim: Shim) -> None:
    for number in range(50):
        shim.send_line(json.dumps({"id": number, "cmd": "version"}))
    shim.close_input()
    assert [shim.receive()["id"] for _ in range(50)] == list(range(50))
    shim.expect_exit()


@pytest.mark.not_on_windows("Windows has no SIGTERM")
@pytest.mark.parametrize("waiting", [False, True])
def test_sigterm_ends_it_in_order(
    shim: Shim, rng: random.Random, tmp_path: Path, waiting: bool
) -> None:
    payload = single_file(tmp_path / "seed", rng, 16 * KIB, 100_000)
    shim.start_session()
    shim.seed(payload)
    if waiting:
        shim.send_line(
            '{"id": 1, "cmd": "wait_for_alert",'
            ' "params": {"type_name": "torrent_error", "timeout_ms": 600000}}'
        )
    shim.terminate()
    shim.expect_exit()
