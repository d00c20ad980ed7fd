"""A bencoder (BEP 3) for what the tests make by hand."""

from __future__ import annotations

from typing import Any


def bencode(value: Any) -> bytes:
    """Encodes numbers, texts, bytes, lists and dicts; the keys of a dict are sorted."""
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, list):
        return b"l" + b"".join(map(bencode, value)) + b"e"
    if isinstance(value, dict):
        items = sorted((key.encode(), value) for key, value in value.items())
        return b"d" + b"".join(bencode(part) for item in items for part in item) + b"e"
    raise TypeError(f"cannot be bencoded: {value!r}")
