"""Connects a session of ours with one of libtorrent's."""

from __future__ import annotations

import libtorrent as lt

from .oracle import Oracle
from .payload import Payload
from .rpc import Shim


def connect(
    ours: Shim, oracle: Oracle, handle: lt.torrent_handle, payload: Payload, by: str
) -> None:
    """Has one side connect to the other one."""
    if by == "ours":
        ours.call("connect_peer", torrent_id=payload.info_hash, ip="127.0.0.1", port=oracle.port)
    else:
        handle.connect_peer(("127.0.0.1", ours.port))
