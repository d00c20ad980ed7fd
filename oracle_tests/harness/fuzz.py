"""Torrent files and magnet links from chance: most of them nearly right, with hostile names,
wrong types and numbers at the edges. The same generator gives the same ones."""

from __future__ import annotations

import random
from typing import Any
from urllib.parse import quote

from harness.bencode import bencode

KIB = 1024
HASH = b"\x07" * 20

NAMES: list[bytes] = [
    *(b"a", b"b", b"A", b"c.txt", b"C.TXT", b"a.1", b"folder", b"x y"),
    *(b"", b".", b"..", b"...", b"/", b"\\", b"a/b", b"..\\x", b"/etc/passwd", b"../../x"),
    *(b"\x00", b"a\x00b", b"\x01\x1f", b"\x7f", b"\xff", b"\xc3", b"a\xc3(", b"\xc0\xae\xc0\xae"),
    *(b"\xed\xa0\x80", b"\xf0\x9f\x8e\xae", b"\xf8\x88\x80\x80\x80", b"\xc2\x80\xc2\x9f"),
    *(b"_____padding_file_0", b".pad", b"CON", b"C:", b"a:b", b"~", b"x.", b"x "),
    *(f"x{chr(code)}y".encode() for code in (0x61C, 0x200B, 0x200D, 0x200F, 0x2066)),
    *("ünïcödé".encode(), "\u202e".encode(), "\u200b.".encode()),
    *(b"n" * 239, b"n" * 240, b"n" * 241, b"n" * 300 + b".abcdefgh", b"n" * 300 + b".abcdefghi"),
    *(
        b"\x01" * 239,
        b"\x01" * 250 + b".x",
        b"n" * 236 + "ü.mkv".encode() * 2,
        "ü".encode() * 150 + b".x",
        b"." * 250,
    ),
]
URLS: list[Any] = [
    *(b"http://a/announce", b"https://b:443/x?y=z", b"udp://c:1", b"ws://d/", b"wss://e:8/x"),
    *(b"UDP://c:1", b" \t\r\n\x0b\x0chttp://a/", b"http://[::1]:80/announce", b"http://u:p@h/"),
    *(b"ftp://x/", b"http://", b"http:/x", b"http://a b/", b"http://a/ b", b"http://a/\x01"),
    *(b"http://h:x/", b"http://h:/", b"http://h:99999999999/", b"http://h_h/", b"http://u@h/"),
    *(b"http://a/\xff", "http://a/ü".encode(), b"http://h?x y", b"http://h#x", b"", b"x", b"//x/"),
    *(5, [], {}, [b"http://nested/"]),
]
INTEGERS = [
    *(0, 1, -1, 2, 255, 16383, 16384, 16385, 65535, 65536, 1 << 31, (1 << 31) - 1, 1 << 32),
    *(536854528, 536854529, 1 << 47, (1 << 48) - 1, 1 << 48, (1 << 63) - 1, -(1 << 63), 1 << 63),
    *(17592169267199, 17592169267200, 10**19, 10**25),
]
KEYS = [
    *("info", "announce", "announce-list", "nodes", "url-list", "httpseeds", "comment"),
    *("comment.utf-8", "created by", "created by.utf-8", "creation date", "similar"),
    *("collections", "name", "name.utf-8", "piece length", "pieces", "length", "files"),
    *("path", "path.utf-8", "attr", "symlink path", "mtime", "sha1", "private", "source"),
    *("ssl-cert", "magnet-uri", "unknown", "", "meta version"),
]


def some_value(rng: random.Random, depth: int = 0) -> Any:
    """Anything that can be bencoded."""
    kind = rng.randrange(4 if depth < 3 else 2)
    if kind == 0:
        return rng.choice(INTEGERS)
    if kind == 1:
        return rng.choice([*NAMES, HASH, rng.randbytes(rng.randrange(25))])
    members = [some_value(rng, depth + 1) for _ in range(rng.randrange(3))]
    return members if kind == 2 else dict(zip(rng.sample(KEYS, len(members)), members, strict=True))


def some_list(rng: random.Random, choices: list[Any], most: int = 3) -> list[Any]:
    """A few of the choices."""
    return [rng.choice(choices) for _ in range(rng.randrange(most + 1))]


def some_path(rng: random.Random) -> list[Any]:
    """The path of a file, as a rule a good one."""
    plain = NAMES[:8]
    return [
        rng.choice(plain if rng.random() < 0.7 else NAMES) for _ in range(rng.choice([1, 1, 2, 3]))
    ]


def some_file(rng: random.Random) -> dict[str, Any]:
    """An entry of a file list."""
    file: dict[str, Any] = {
        "length": rng.choice([0, 1, 5, 16 * KIB, 16 * KIB + 1, 40_000]),
        "path": some_path(rng),
    }
    if rng.random() < 0.3:
        file["attr"] = rng.choice([b"p", b"x", b"h", b"xh", b"l", b"lx", b"pl", b"q", b""])
    if b"l" in file.get("attr", b"") and rng.random() < 0.9:
        file["symlink path"] = rng.choice([some_path(rng), some_list(rng, NAMES)])
    if b"p" in file.get("attr", b"") and rng.random() < 0.5:
        del file["path"]
    if rng.random() < 0.1:
        file["path.utf-8"] = some_path(rng)
    return file


def some_info(rng: random.Random) -> dict[str, Any]:
    """An info dict whose hashes fit its sizes."""
    piece = rng.choice([1000, 16 * KIB, 16 * KIB, 32 * KIB])
    info: dict[str, Any] = {"name": rng.choice(NAMES[:8] if rng.random() < 0.6 else NAMES)}
    if rng.random() < 0.7:
        info["files"] = [some_file(rng) for _ in range(rng.choice([0, 1, 2, 3, 5, 8]))]
        links = [b"l" in file.get("attr", b"") for file in info["files"]]
        total = sum(
            0 if link else file["length"] for file, link in zip(info["files"], links, strict=True)
        )
    else:
        total = info["length"] = rng.choice([0, 1, 5, 16 * KIB, 100_000])
        if rng.random() < 0.2:
            info["attr"] = rng.choice([b"p", b"x", b"h", b"xh"])
    info["piece length"] = piece
    info["pieces"] = HASH * -(-total // piece)
    if rng.random() < 0.2:
        info["name.utf-8"] = rng.choice(NAMES)
    if rng.random() < 0.2:
        info["private"] = rng.choice(INTEGERS)
    if rng.random() < 0.2:
        info["source"] = rng.choice(NAMES)
    if rng.random() < 0.2:
        info["similar"] = some_list(rng, [HASH, b"\x01" * 20, b"\x01" * 19, 5])
    if rng.random() < 0.2:
        info["collections"] = some_list(rng, [*NAMES[:12], 5, []])
    return info


def some_node(rng: random.Random) -> list[Any]:
    """A DHT node."""
    host = rng.choice([b"router", b"::1", b"", 5])
    return [host, rng.choice([1, 6881, 65535, b"6881"]), *some_list(rng, [1, b"x"], 1)]


def some_torrent(rng: random.Random) -> dict[str, Any]:
    """The outermost dict of a torrent file."""
    root: dict[str, Any] = {"info": some_info(rng)}
    extras: dict[str, Any] = {
        "announce": rng.choice(URLS),
        "announce-list": [some_list(rng, URLS) for _ in range(rng.randrange(4))],
        "url-list": rng.choice([rng.choice(URLS), some_list(rng, URLS, 5)]),
        "nodes": [some_node(rng) for _ in range(rng.randrange(3))],
        "comment": rng.choice(NAMES),
        "comment.utf-8": rng.choice(NAMES),
        "created by": rng.choice(NAMES),
        "created by.utf-8": rng.choice(NAMES),
        "creation date": rng.choice([*range(-1, 2), 1_500_000_000, b"x"]),
        "similar": some_list(rng, [HASH, b"\x02" * 20, b"\x02" * 21, 5]),
        "collections": some_list(rng, [*NAMES[:12], 5, []]),
        "httpseeds": some_list(rng, URLS),
    }
    for key, value in extras.items():
        if rng.random() < 0.2:
            root[key] = value
    return root


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container with a key or an index into it."""
    found: list[tuple[Any, Any]] = []
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    for key in list(keys):
        found.append((value, key))
        if isinstance(value[key], dict | list):
            found += places(value[key])
    return found


def mutate(rng: random.Random, root: dict[str, Any]) -> None:
    """Changes, adds or takes away one thing somewhere."""
    container, key = rng.choice(places(root))
    change = rng.randrange(6)
    if change == 0:
        del container[key]
    elif change == 1:
        container[key] = some_value(rng)
    elif change == 2 and isinstance(container[key], int):
        container[key] = rng.choice([*INTEGERS, container[key] + 1, container[key] - 1])
    elif change == 3 and isinstance(container[key], bytes):
        text = container[key]
        cut = rng.randrange(len(text) + 1)
        container[key] = rng.choice([text[:cut], text * 2, text + b"\xff", rng.choice(NAMES)])
    elif change == 4 and isinstance(container[key], list):
        container[key] = container[key] * 2 if rng.random() < 0.5 else container[key][1:]
    elif isinstance(container, dict):
        container[rng.choice(KEYS)] = some_value(rng)
    else:
        container.insert(key, some_value(rng))


def damage(rng: random.Random, data: bytes) -> bytes:
    """Changes a few bytes."""
    damaged = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(damaged))
        new = rng.choice(b"0123456789:deil-\x00\xff/.a")
        match rng.randrange(4):
            case 0:
                damaged.insert(at, new)
            case 1 if len(damaged) > 1:
                del damaged[at]
            case 2 if at:
                del damaged[at:]
            case _:
                damaged[at] = new
    return bytes(damaged)


def random_torrent(rng: random.Random) -> bytes:
    """A torrent file: as a rule one that could be good, but for one or two things."""
    root = some_torrent(rng)
    for _ in range(rng.choice([0, 0, 1, 1, 2, 4])):
        if root:
            mutate(rng, root)
    data = bencode(root)
    return damage(rng, data) if rng.random() < 0.15 else data


TOPICS = [
    *("urn:btih:" + "0123456789abcdef" * 2 + "01234567", "urn:btih:" + "ABCDEF" * 6 + "0000"),
    *("urn:btih:" + "abcdefghijklmnopqrstuvwxyz234567", "urn:btih:" + "A1" * 16),
    *("urn:btmh:1220" + "ab" * 32, "urn%3abtih%3A" + "5" * 40, "urn:btmh:1220" + "AB" * 32),
    *("URN:BTIH:" + "5" * 40, "Urn:Btmh:1220" + "cd" * 32),
]
BAD_TOPICS = [
    *("", "urn:btih:", "urn:btih:" + "5" * 39, "urn:btih:" + "5" * 41, "urn:btih:" + "g" * 40),
    *("urn:btih:" + "8" * 32, "urn:btih:" + "a" * 31 + "=", "urn:btmh:1220" + "ab" * 31),
    *("urn:btmh:1320" + "ab" * 32, "urn:btmh:", "urn:sha1:" + "a" * 32, "urn:btih: " + "5" * 40),
    *("urn:btih%", "urn:btih:%zz", "urn:btih:" + "%61" * 40, "urn:btih:" + "+" * 40),
]
NUMBERS = [*map(str, (0, 1, 2, 3, 9, 10, 9999, 10_000, 10_001, 1 << 31, 1 << 64)), "", "007", "-1"]
HOSTS = [
    "1.2.3.4",
    "[::1]",
    "[2001:db8::7]",
    "router.example",
    "",
    "%5b::1%5d",
    "256.1.1.1",
    "[::1",
]
PORTS = ["1", "6881", "65534", "65535", "65536", "0", "-1", "", "x", "080", "%31"]
MAGNET_KEYS = ["xt", "dn", "tr", "ws", "so", "x.pe", "dht", "xs", "as", "kt", "xl", "mt", "", "x"]


def some_parameter(rng: random.Random) -> str:
    """One parameter of a magnet link."""
    key = rng.choice(MAGNET_KEYS)
    match key:
        case "xt":
            value = rng.choice(TOPICS if rng.random() < 0.7 else BAD_TOPICS)
        case "so":
            ranges = [
                rng.choice(["{}", "{}-{}", "{}-{}-{}", "-{}", "{}-"])
                for _ in range(rng.randrange(4))
            ]
            value = ",".join(ranges)
            value = value.format(*(rng.choice(NUMBERS) for _ in range(12)))
        case "x.pe" | "dht":
            value = f"{rng.choice(HOSTS)}:{rng.choice(PORTS)}"
        case _:
            text = rng.choice([*NAMES, *(url for url in URLS if isinstance(url, bytes))])
            safe = rng.choice(["", "/:?=", "/:?=+ %"])
            value = quote(text, safe=safe)
            value = value.lower() if rng.random() < 0.3 else value
    if rng.random() < 0.2:
        key += rng.choice([".", ".1", ".12345678901234567890", ".x", ".1x", "..1", ".1.2"])
    if rng.random() < 0.2:
        key = key.upper()
    if rng.random() < 0.05:
        at = rng.randrange(len(value) + 1)
        value = value[:at] + rng.choice(["%", "%4", "%zz", "&", "=", "#", "+", " "]) + value[at:]
    return rng.choice(["{}={}"] * 20 + ["{}{}", "{}=={}", "&{}={}&"]).format(key, value)


def random_magnet(rng: random.Random) -> str:
    """A magnet link: as a rule with a hash, and one or two things that are wrong."""
    parameters = [some_parameter(rng) for _ in range(rng.randrange(8))]
    if rng.random() < 0.9:
        parameters.insert(rng.randrange(len(parameters) + 1), "xt=" + rng.choice(TOPICS))
    start = "magnet:?" if rng.random() < 0.97 else rng.choice(["magnet:", "", "http:?"])
    if rng.random() < 0.1:
        start = rng.choice(["MAGNET:?", "Magnet:?", " magnet:?", "\n\tmagnet:?"])
    return start + "&".join(parameters) + rng.choice([""] * 20 + [" ", "\r\n"])
