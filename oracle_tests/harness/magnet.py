"""Magnet links as libtorrent reads them and as we do, in one form to compare."""

from __future__ import annotations

from typing import Any

import libtorrent as lt

from harness.metainfo import our_refusal, refusal_of_libtorrent
from harness.rpc import Shim


def read_by_libtorrent(uri: str) -> dict[str, Any]:
    """What libtorrent reads, by the names of our answers; raises `Refused`."""
    try:
        params = lt.parse_magnet_uri(uri)
    except RuntimeError as error:
        raise refusal_of_libtorrent(error) from None
    hashes = params.info_hashes
    chosen = [index for index, priority in enumerate(params.file_priorities) if priority]
    return {
        "info_hash": str(hashes.v1) if hashes.has_v1() else "",
        "info_hash_v2": str(hashes.v2) if hashes.has_v2() else "",
        "name": params.name,
        "trackers": params.trackers,
        "tiers": params.tracker_tiers,
        "url_seeds": params.url_seeds,
        "peers": [f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}" for ip, port in params.peers],
        "dht_nodes": [{"host": host, "port": port} for host, port in params.dht_nodes],
        "select_only": chosen if params.flags & lt.torrent_flags.default_dont_download else None,
        "magnet_uri": lt.make_magnet_uri(params),
    }


def read_by_us(shim: Shim, uri: str) -> dict[str, Any]:
    """The same of ours."""
    answer = shim.ask("parse_magnet", uri=uri)
    if not answer["ok"]:
        assert answer["code"] == 202, answer
        raise our_refusal(answer["error"])
    del answer["id"], answer["ok"]
    # Each tracker is a tier of its own.
    return answer | {"tiers": list(range(len(answer["trackers"])))}
