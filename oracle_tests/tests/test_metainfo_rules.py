"""Names and lists of a generated table: what becomes of each is what libtorrent makes of it."""

from __future__ import annotations

import base64
import itertools
from typing import Any

import libtorrent as lt
from harness.bencode import bencode
from harness.payload import KIB
from harness.rpc import Shim

HEX = "0123456789abcdef0123456789abcdef01234567"

# Elements of paths. None of them means another thing on another platform.
ELEMENTS: list[bytes] = [
    b"a",
    b"A",
    b".",
    b"..",
    b"...",
    b"",
    b"/",
    b"\\",
    b"a/b",
    b"../x",
    b"a.txt",
    b"A.TXT",
    b"\x01",
    b"\x7f",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x8e\xae",
    *(f"x{chr(code)}y".encode() for code in (0x61C, 0x200B, 0x200F, 0x202A, 0x202E)),
    *(f"{chr(code)}".encode() for code in (0x2060, 0x2064, 0x2066, 0x2069, 0xFEFF)),
    b"n" * 235 + b".abc",
    b"n" * 300 + b".12345678",
    b"n" * 300 + b".1234567890",
    "ü".encode() * 150 + b".x",
]


# Elements that we keep as they are and libtorrent changes: it takes out U+200C and U+200D,
# without which Persian, the languages of India and emoji are not what they were, and cuts
# names at 240 bytes where file systems take 255.
KEPT: list[bytes] = [
    "\u0645\u06cc\u200c\u062e.txt".encode(),
    "\u0915\u094d\u200d\u0937".encode(),
    "\U0001f468\u200d\U0001f469\u200d\U0001f467.png".encode(),
    b"n" * 239 + b".abc",
    b"n" * 255,
    "\U0001f3ae".encode() * 62 + b".gdx",
]


def torrent(files: list[dict[str, Any]], name: bytes = b"folder", **more: Any) -> bytes:
    """A torrent of these files in 16 KiB pieces."""
    pieces = -(-sum(file.get("length", 0) for file in files) // (16 * KIB))
    info = {
        "name": name,
        "piece length": 16 * KIB,
        "pieces": b"\x07" * 20 * pieces,
        "files": files,
    }
    return bencode({"info": info} | more)


def by_libtorrent(data: bytes) -> dict[str, Any] | None:
    """Paths, sizes and what stands beside the info dict; nothing where it is refused."""
    try:
        params = lt.load_torrent_buffer(data)
    except RuntimeError:
        return None
    layout = params.ti.layout()
    tiers = sorted(set(params.tracker_tiers))
    return {
        "files": [
            (params.renamed_files.get(index) or layout.file_path(index), layout.file_size(index))
            for index in range(layout.num_files())
        ],
        "trackers": [
            (url, tiers.index(tier))
            for url, tier in zip(params.trackers, params.tracker_tiers, strict=True)
        ],
        "web_seeds": params.url_seeds,
        "nodes": list(params.dht_nodes),
    }


def by_us(shim: Shim, data: bytes) -> dict[str, Any] | None:
    """The same of ours."""
    answer = shim.ask("parse_torrent", data=base64.b64encode(data).decode())
    if not answer["ok"]:
        assert answer["code"] == 201
        return None
    return {
        "files": [(file["path"], file["size"]) for file in answer["files"]],
        "trackers": [(tracker["url"], tracker["tier"]) for tracker in answer["trackers"]],
        "web_seeds": answer["web_seeds"],
        "nodes": [(node["host"], node["port"]) for node in answer["nodes"]],
    }


def judge(shim: Shim, data: bytes) -> None:
    """Both say the same."""
    assert by_us(shim, data) == by_libtorrent(data), data


def test_names_alone_and_in_pairs(shim: Shim) -> None:
    for element in ELEMENTS:
        judge(shim, torrent([{"path": [element], "length": 5}]))
        judge(shim, torrent([{"path": ["x"], "length": 5}], name=element))
    for path in itertools.product(ELEMENTS, repeat=2):
        judge(shim, torrent([{"path": list(path), "length": 5}]))


def test_names_that_are_kept_and_libtorrent_changes(shim: Shim) -> None:
    for element in KEPT:
        data = torrent([{"path": [element], "length": 5}])
        ours, theirs = by_us(shim, data), by_libtorrent(data)
        assert ours is not None
        assert theirs is not None
        assert ours["files"] == [(f"folder/{element.decode()}", 5)]
        assert theirs["files"] != ours["files"], element


def test_names_that_collide(shim: Shim) -> None:
    names = [["a"], ["A"], ["a", "b"], ["A", "B"], ["a.1"], ["a.txt"], ["A.TXT"], ["a.1.txt"]]
    for paths in itertools.product(names, repeat=3):
        data = torrent([{"path": path, "length": 5} for path in paths])
        ours, theirs = by_us(shim, data), by_libtorrent(data)
        assert ours is not None
        assert theirs is not None
        stored = [path.lower() for path, _ in theirs["files"]]
        if len(set(stored)) == len(stored):
            assert ours == theirs, data
        else:
            # libtorrent gives two files one path; we never do.
            own = [path.lower() for path, _ in ours["files"]]
            assert len(set(own)) == len(own), data


def test_padding(shim: Shim) -> None:
    pads: list[dict[str, Any]] = [
        {"attr": "p", "length": 7},
        {"attr": "p", "length": 7, "path": [".pad", "7"]},
        {"attr": "p", "length": 9, "path": [".pad", "7"]},
        {"length": 7, "path": ["_____padding_file_0_x____"]},
        {"length": 7, "path": [".pad", "7"]},
    ]
    for pair in itertools.product(pads, repeat=2):
        judge(shim, torrent([{"path": ["a"], "length": 5}, *pair, {"path": ["b"], "length": 5}]))


def test_sizes(shim: Shim) -> None:
    for length in [-(1 << 63), -1, 0, 1, 16 * KIB, 16 * KIB + 1, 1 << 34, 1 << 48, 1 << 62]:
        files = [{"path": ["a"], "length": length}, {"path": ["b"], "length": 1}]
        if length < 0 or length > 1 << 36:
            # As many hashes as that takes would be too many: the size itself is judged.
            info = {"name": "x", "piece length": 16 * KIB, "pieces": b"", "files": files}
            judge(shim, bencode({"info": info}))
        elif length < 1 << 30:
            judge(shim, torrent(files))


def test_lists_beside_the_info_dict(shim: Shim) -> None:
    file = [{"path": ["a"], "length": 5}]
    urls: list[Any] = [
        "http://a/announce",
        " \t udp://b:1",
        "UDP://b:1",
        "wss://c/",
        "ftp://d/",
        "http://with space/",
        "http://a/\x01",
        "",
        5,
        ["http://nested/"],
    ]
    for one, two in itertools.product(urls, repeat=2):
        judge(shim, torrent(file, **{"announce-list": [[one, two]]}))
        judge(shim, torrent(file, **{"announce-list": [[one], [], [two]], "announce": "http://z/"}))
        judge(shim, torrent(file, **{"url-list": [one, two]}))
    for url in urls:
        judge(shim, torrent(file, announce=url))
        judge(shim, torrent(file, **{"url-list": url, "announce-list": url}))
    # Ports that do not exist are handed on by libtorrent.
    for port in [1, 65535, "6881", [1]]:
        judge(shim, torrent(file, nodes=[["router", port], ["x", 1], [port, "x"], "y"]))


def test_magnet_variants(shim: Shim) -> None:
    link = f"magnet:?xt=urn:btih:{HEX}"
    values = ["", "a%00b", "http%3a%2f%2fa%2f", "1.2.3.4:5", "1.2.3.4:0", "x:70000"]
    keys = ["dn", "DN.1", "tr", "tr.x", "ws", "x.pe", "dht", "xs", "as", "kt", "xl", "xt"]
    for key, value in itertools.product(keys, values):
        uri = f"{link}&{key}={value}"
        answer = shim.ask("parse_magnet", uri=uri)
        try:
            params = lt.parse_magnet_uri(uri)
            theirs = (params.trackers, params.url_seeds, list(params.peers), params.dht_nodes)
        except UnicodeDecodeError:
            continue
        except RuntimeError:
            assert not answer["ok"], uri
            continue
        assert answer["ok"], uri
        peers = [(host, int(port)) for host, port in (p.rsplit(":", 1) for p in answer["peers"])]
        nodes = [(node["host"], node["port"]) for node in answer["dht_nodes"]]
        assert (answer["trackers"], answer["url_seeds"], peers, nodes) == theirs, uri
        assert answer["name"] == params.name, uri
