"""A UDP tracker on loopback (BEP 15, BEP 41) that remembers what it was told."""

from __future__ import annotations

import socket
import struct
import threading
from dataclasses import dataclass, field
from types import TracebackType

PROTOCOL = 0x41727101980
CONNECTION = 0x1234_5678_9ABC_DEF0
CONNECT, ANNOUNCE, SCRAPE, ERROR = range(4)
EVENTS = ("", "completed", "started", "stopped")


@dataclass(frozen=True)
class UdpAnnounce:
    """One announce."""

    info_hash: str
    peer_id: bytes
    downloaded: int
    left: int
    uploaded: int
    event: str
    num_want: int
    port: int
    # The path and query of the announce URL, from the options behind the announce.
    path: str


@dataclass
class UdpTracker:
    """A tracker that answers until its context ends. It knows only whom it was told of."""

    interval: int = 1800
    # Answered to every announce, where it is not empty.
    failure: str = ""
    # What scrapes are told: seeds, complete downloads, downloaders.
    swarm: tuple[int, int, int] = (5, 60, 7)
    announces: list[UdpAnnounce] = field(default_factory=list)
    connects: int = 0
    scrapes: int = 0
    _peers: dict[str, dict[bytes, int]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> UdpTracker:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # An empty datagram ends the thread.
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    @property
    def url(self) -> str:
        """The announce URL."""
        return f"udp://127.0.0.1:{self._socket.getsockname()[1]}/announce?pass=word"

    def announces_of(self, port: int) -> list[UdpAnnounce]:
        """What the peer that listens at `port` announced."""
        with self._lock:
            return [announce for announce in self.announces if announce.port == port]

    def _serve(self) -> None:
        while True:
            packet, sender = self._socket.recvfrom(4096)
            if not packet:
                return
            if answer := self._answer(packet):
                self._socket.sendto(answer, sender)

    def _answer(self, packet: bytes) -> bytes | None:
        connection, action, transaction = struct.unpack_from(">QII", packet)
        if action == CONNECT and connection == PROTOCOL:
            self.connects += 1
            return struct.pack(">IIQ", CONNECT, transaction, CONNECTION)
        if connection != CONNECTION:
            return struct.pack(">II", ERROR, transaction) + b"no such connection"
        if action == SCRAPE:
            self.scrapes += 1
            return struct.pack(">IIIII", SCRAPE, transaction, *self.swarm)
        if action == ANNOUNCE:
            return self._announce(packet, transaction)
        return None

    def _announce(self, packet: bytes, transaction: int) -> bytes:
        fields = struct.unpack_from(">16x20s20sQQQIIIIH", packet)
        info_hash, peer_id, downloaded, left, uploaded, event, _ip, _key, num_want, port = fields
        announce = UdpAnnounce(
            info_hash=info_hash.hex(),
            peer_id=peer_id,
            downloaded=downloaded,
            left=left,
            uploaded=uploaded,
            event=EVENTS[event],
            num_want=num_want,
            port=port,
            path=url_data(packet[98:]),
        )
        with self._lock:
            self.announces.append(announce)
            peers = self._peers.setdefault(announce.info_hash, {})
            if announce.event == "stopped":
                peers.pop(peer_id, None)
            else:
                peers[peer_id] = port
            others = [port for peer, port in peers.items() if peer != peer_id]
        if self.failure:
            return struct.pack(">II", ERROR, transaction) + self.failure.encode()
        head = struct.pack(">IIIII", ANNOUNCE, transaction, self.interval, len(others), 0)
        return head + b"".join(struct.pack(">4BH", 127, 0, 0, 1, port) for port in others)


def url_data(options: bytes) -> str:
    """What the URL data options carry (BEP 41)."""
    url = b""
    while options and options[0] == 2:
        url += options[2 : 2 + options[1]]
        options = options[2 + options[1] :]
    return url.decode()
