"""What cannot work is refused with the reason or shows as an error, and the session goes on."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness.oracle import Oracle
from harness.payload import KIB, Payload, many_files, single_file
from harness.ports import closed_port
from harness.rpc import Shim, powerless, shim_command
from harness.waiting import wait_until


def still_works(shim: Shim, oracle: Oracle, payload: Payload, save_path: Path) -> None:
    """Downloads a torrent, to show that the session goes on."""
    oracle.seed(payload.torrent, payload.save_path)
    torrent_id = shim.call(
        "add_torrent_file", path=str(payload.torrent_path), save_path=str(save_path)
    )["torrent_id"]
    shim.call("connect_peer", torrent_id=torrent_id, ip="127.0.0.1", port=oracle.port)
    shim.wait_until_seeding(torrent_id)
    shim.call("flush_cache", torrent_id=torrent_id)
    payload.assert_same(save_path)


def test_torrent_files_that_cannot_be_added(
    ours: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    payload = single_file(tmp_path / "seed", rng, 16 * KIB, 200_000)
    missing = tmp_path / "missing.torrent"
    broken = tmp_path / "broken.torrent"
    broken.write_bytes(payload.torrent[:-50])
    huge = tmp_path / "huge.torrent"
    with huge.open("wb") as file:
        file.truncate(1 << 33)
    for path, code in [(missing, 400), (tmp_path, 400), (broken, 201), (huge, 201)]:
        error = ours.refuse("add_torrent_file", path=str(path), save_path=str(tmp_path))
        assert error.code // 100 == code // 100, error
        assert str(path) in error.message
    assert ours.call("list_torrents")["torrents"] == []
    still_works(ours, oracle, payload, tmp_path / "save")


def test_an_empty_save_path(ours: Shim, rng: random.Random, tmp_path: Path) -> None:
    payload = single_file(tmp_path / "seed", rng, 16 * KIB, 200_000)
    path = str(payload.torrent_path)
    assert ours.refuse("add_torrent_file", path=path, save_path="").code == 601
    # Neither here nor in `init`.
    assert ours.refuse("add_torrent_file", path=path).code == 601
    assert ours.refuse("add_torrent_and_seed", path=path, data_dir="").code == 601


def test_the_download_dir_stands_in_for_a_save_path(
    shim: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    payload = single_file(tmp_path / "seed", rng, 16 * KIB, 200_000)
    oracle.seed(payload.torrent, payload.save_path)
    shim.start_session(download_dir=str(tmp_path / "downloads"))
    torrent_id = shim.call("add_torrent_file", path=str(payload.torrent_path))["torrent_id"]
    shim.call("connect_peer", torrent_id=torrent_id, ip="127.0.0.1", port=oracle.port)
    shim.wait_until_seeding(torrent_id)
    shim.call("flush_cache", torrent_id=torrent_id)
    payload.assert_same(tmp_path / "downloads")


def test_a_port_in_use(shim: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path) -> None:
    payload = single_file(tmp_path / "seed", rng, 16 * KIB, 200_000)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = {
            "listen_interfaces": f"127.0.0.1:{port}",
            "max_retry_port_bind": 0,
            "listen_system_port_fallback": False,
        }
        assert shim.call("init", settings=settings)["listen_port"] == 0
        alert = shim.wait_for_alert("listen_failed")
        assert alert["port"] == port
        assert alert["error"]
        still_works(shim, oracle, payload, tmp_path / "save")


def test_a_port_in_use_and_a_way_out(shim: Shim) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = {"listen_interfaces": f"127.0.0.1:{port}"}
        other = shim.call("init", settings=settings)["listen_port"]
        assert other not in (0, port)


def refuse_to_write(
    shim: Shim, payload: Payload, oracle: Oracle, save_path: Path
) -> dict[str, Any]:
    """Starts a download that cannot be stored, and returns the status that says so."""
    oracle.seed(payload.torrent, payload.save_path)
    torrent_id = shim.call(
        "add_torrent_file", path=str(payload.torrent_path), save_path=str(save_path)
    )["torrent_id"]
    shim.call("connect_peer", torrent_id=torrent_id, ip="127.0.0.1", port=oracle.port)

    def failed() -> dict[str, Any] | None:
        status = shim.status(torrent_id)
        return status if status["error"] else None

    status = wait_until(failed, "the status names the error")
    alert = shim.wait_for_alert("file_error", torrent_id)
    assert alert["error"]
    assert not status["is_finished"]
    return status


@pytest.mark.not_on_windows("permissions of Unix")
def test_a_folder_that_must_not_be_written(
    start_shim: Callable[..., Shim], oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    payload = many_files(tmp_path / "seed", rng, 16 * KIB)
    other = single_file(tmp_path / "other", rng, 16 * KIB, 200_000)
    shim = start_shim(command=powerless(shim_command()))
    shim.start_session()
    save_path = tmp_path / "save"
    save_path.mkdir()
    save_path.chmod(0o555)
    try:
        status = refuse_to_write(shim, payload, oracle, save_path)
        assert str(save_path) in status["error_file"]
        still_works(shim, oracle, other, tmp_path / "elsewhere")
    finally:
        save_path.chmod(0o755)

    # The cause is gone, so the torrent can go on.
    shim.clear_error(payload.info_hash)
    shim.call("resume_torrent", torrent_id=payload.info_hash)
    shim.call("connect_peer", torrent_id=payload.info_hash, ip="127.0.0.1", port=oracle.port)
    wait_until(lambda: shim.status(payload.info_hash)["is_seeding"], "the download ends")
    shim.call("flush_cache", torrent_id=payload.info_hash)
    payload.assert_same(save_path)


def test_a_file_where_a_folder_should_be(
    ours: Shim, oracle: Oracle, rng: random.Random, tmp_path: Path
) -> None:
    payload = many_files(tmp_path / "seed", rng, 16 * KIB)
    save_path = tmp_path / "save"
    save_path.mkdir()
    (save_path / "many").write_text("in the way")
    refuse_to_write(ours, payload, oracle, save_path)
    assert (save_path / "many").read_text() == "in the way"


def test_peers_and_trackers_that_are_none(ours: Shim, rng: random.Random, tmp_path: Path) -> None:
    payload = single_file(tmp_path / "seed", rng, 16 * KIB, 200_000)
    torrent_id = ours.call(
        "add_torrent_file", path=str(payload.torrent_path), save_path=str(tmp_path / "save")
    )["torrent_id"]
    for ip, port in [("nonsense", 1), ("127.0.0.1", 0), ("127.0.0.1", 65536), ("", 1)]:
        assert ours.refuse("connect_peer", torrent_id=torrent_id, ip=ip, port=port).code == 600
    for url in ["", "nonsense", "ftp://tracker/", "file:///etc/passwd"]:
        error = ours.refuse("add_tracker", torrent_id=torrent_id, url=url)
        assert error.code == 605
    # Nobody is there; that is no error of the torrent.
    with closed_port() as port:
        ours.call("connect_peer", torrent_id=torrent_id, ip="127.0.0.1", port=port)
        ours.wait_for_alert("peer_disconnected", torrent_id)
    assert ours.status(torrent_id)["error"] == ""
