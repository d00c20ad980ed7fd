"""Magnet links, good and bad: we read what libtorrent reads and refuse what it refuses."""

from __future__ import annotations

import base64
from pathlib import Path

import libtorrent as lt
import pytest
from harness.bencode import bencode
from harness.magnet import read_by_libtorrent, read_by_us
from harness.metainfo import Refused
from harness.rpc import Shim

HEX = "0123456789abcdef0123456789abcdef01234567"
BASE32 = "AERUKZ4JVPG66AJDIVTYTK6N54ASGRLH"
V2 = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
V1_LINK = f"magnet:?xt=urn:btih:{HEX}"

GOOD = [
    V1_LINK,
    f"magnet:?xt=urn:btih:{HEX.upper()}",
    f"magnet:?xt=urn:btih:{BASE32}",
    f"magnet:?xt=urn:btih:{BASE32.lower()}",
    f"magnet:?xt=urn:btmh:1220{V2}",
    f"{V1_LINK}&xt=urn:btmh:1220{V2}",
    f"magnet:?xt.1=urn:btih:{HEX}&xt.2=urn:btmh:1220{V2}",
    f"magnet:?XT=urn:btih:{HEX}&DN=Name",
    f"magnet:?dn=first&xt=urn:btih:{HEX}",
    f"magnet:?xt=urn%3Abtih%3A{HEX}",
    f"{V1_LINK}&dn=a+b%20c%2f..%2f",
    f"{V1_LINK}&dn=%e2%82%ac",
    f"{V1_LINK}&tr=http%3a%2f%2fa%2fannounce&tr=udp%3A%2F%2Fb%3A1&tr.3=https%3a%2f%2fc%2f",
    f"{V1_LINK}&tr=ftp%3a%2f%2fx&tr=nonsense&tr=http%3a%2f%2fgood%2f",
    f"{V1_LINK}&ws=http%3a%2f%2fweb%2fseed",
    f"{V1_LINK}&x.pe=127.0.0.1:6881&x.pe=[::1]:7000&x.pe=nonsense",
    f"{V1_LINK}&dht=router.example:6881&dht=10.0.0.1:1",
    f"{V1_LINK}&unknown=1&kt=keyword&xl=5",
    f"{V1_LINK}&&dn=x",
    f"{V1_LINK}&so=0,2,4-6",
]

BAD = [
    "",
    "magnet:",
    "magnet:?",
    "magnet:?dn=only+a+name",
    "http://example.org/",
    f"magnet:xt=urn:btih:{HEX}",
    "magnet:?xt=urn:btih:",
    "magnet:?xt=urn:btih:0123",
    f"magnet:?xt=urn:btih:{HEX[:-1]}g",
    f"magnet:?xt=urn:btih:{HEX}00",
    f"magnet:?xt=urn:btmh:1220{V2[:-2]}",
    f"magnet:?xt=urn:btmh:1320{V2}",
    f"magnet:?xt=urn:sha1:{BASE32}",
]


@pytest.mark.parametrize("uri", GOOD)
def test_good_ones_mean_the_same(shim: Shim, uri: str) -> None:
    assert read_by_us(shim, uri) == read_by_libtorrent(uri)


@pytest.mark.parametrize("uri", BAD)
def test_bad_ones_are_refused(shim: Shim, uri: str) -> None:
    with pytest.raises(Refused):
        read_by_libtorrent(uri)
    assert shim.refuse("parse_magnet", uri=uri).code == 202


def test_the_link_to_a_torrent_is_libtorrents(shim: Shim) -> None:
    torrent = bencode(
        {
            "announce-list": [["http://a/announce"], ["udp://b:1"]],
            "url-list": ["http://web/seed"],
            "info": {
                "name": "a näme & more",
                "length": 5,
                "piece length": 16384,
                "pieces": b"\x01" * 20,
            },
        }
    )
    ours = shim.call("parse_torrent", data=base64.b64encode(torrent).decode())["magnet_uri"]
    params = lt.load_torrent_buffer(torrent)
    params.name = params.ti.name()
    assert ours == lt.make_magnet_uri(params)


def test_a_torrent_file_that_holds_a_link_is_followed(shim: Shim, tmp_path: Path) -> None:
    shim.start_session(download_dir=str(tmp_path))
    path = tmp_path / "a.torrent"
    path.write_bytes(bencode({"magnet-uri": f"{V1_LINK}&dn=Name", "announce": "http://not.used/"}))
    params = lt.load_torrent_file(str(path))
    torrent_id = shim.call("add_torrent_file", path=str(path))["torrent_id"]
    assert torrent_id == HEX == str(params.info_hashes.v1)
    status = shim.status(torrent_id)
    assert (status["has_metadata"], status["name"]) == (False, params.name)
    assert shim.call("get_trackers", torrent_id=torrent_id)["trackers"] == params.trackers == []
    path.write_bytes(bencode({"magnet-uri": "magnet:?dn=Name"}))
    assert shim.refuse("add_torrent_file", path=str(path)).code == 202
