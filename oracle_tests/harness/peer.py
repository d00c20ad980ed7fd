"""A peer made of bytes: says exactly what a test wants it to, true or not."""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
from types import TracebackType
from typing import Any

import libtorrent as lt

from harness.waiting import DEADLINE_SECONDS

RESERVED = bytes([0, 0, 0, 0, 0, 0x10, 0, 0x04])
HANDSHAKE_LENGTH = 68

CHOKE, UNCHOKE, INTERESTED, NOT_INTERESTED = 0, 1, 2, 3
HAVE, BITFIELD, REQUEST, PIECE, CANCEL = 4, 5, 6, 7, 8
SUGGEST, HAVE_ALL, HAVE_NONE, REJECT, ALLOWED_FAST = 13, 14, 15, 16, 17
EXTENDED = 20

# Peers differ by their ids, also from those that are gone.
_numbers = itertools.count(1)


class Closed(Exception):
    """The other end closed the connection."""


class Peer:
    """One connection, after its handshake. Used as a context manager."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._socket.settimeout(DEADLINE_SECONDS)
        self.reserved = b""

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            # Somebody may be waiting for it in another thread.
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    @classmethod
    def connect(
        cls, port: int, info_hash: str, reserved: bytes = RESERVED, source: str = "127.0.0.1"
    ) -> Peer:
        """Calls an engine that has the torrent, from the address `source`."""
        peer = cls(socket.create_connection(("127.0.0.1", port), DEADLINE_SECONDS, (source, 0)))
        try:
            peer._greet(info_hash, reserved)
            peer.reserved = peer._read(HANDSHAKE_LENGTH)[20:28]
        except BaseException:
            peer._socket.close()
            raise
        return peer

    @classmethod
    def accept(cls, listener: socket.socket, info_hash: str, reserved: bytes = RESERVED) -> Peer:
        """Takes a call of an engine."""
        listener.settimeout(DEADLINE_SECONDS)
        peer = cls(listener.accept()[0])
        peer.reserved = peer._read(HANDSHAKE_LENGTH)[20:28]
        peer._greet(info_hash, reserved)
        return peer

    def _greet(self, info_hash: str, reserved: bytes) -> None:
        peer_id = b"-XX0001-" + struct.pack(">IQ", 0, next(_numbers))
        hello = b"\x13BitTorrent protocol" + reserved + bytes.fromhex(info_hash) + peer_id
        self._socket.sendall(hello)

    def send(self, kind: int, *numbers: int, payload: bytes = b"") -> None:
        """Sends a message: 32-bit numbers, then bytes."""
        body = bytes([kind]) + b"".join(struct.pack(">I", number) for number in numbers) + payload
        self._socket.sendall(struct.pack(">I", len(body)) + body)

    def extended(self, number: int, content: Any, data: bytes = b"") -> None:
        """Sends a message of the extension protocol: a bencoded value, then bytes."""
        self.send(EXTENDED, payload=bytes([number]) + lt.bencode(content) + data)

    def end_sending(self) -> None:
        """Says nothing more, but still listens."""
        self._socket.shutdown(socket.SHUT_WR)

    def receive(self) -> tuple[int, bytes]:
        """The next message that says something: its kind and the rest."""
        while True:
            (length,) = struct.unpack(">I", self._read(4))
            if length > 0:
                body = self._read(length)
                return body[0], body[1:]

    def wait_for(self, kind: int) -> bytes:
        """The next message of a kind; others are passed over."""
        while True:
            got, body = self.receive()
            if got == kind:
                return body

    def wait_for_extended(self, number: int) -> tuple[dict[bytes, Any], bytes]:
        """The next message of an extension: its dict and what follows."""
        while True:
            body = self.wait_for(EXTENDED)
            if body[0] == number:
                content = lt.bdecode(body[1:])
                return content, body[1 + len(lt.bencode(content)) :]

    def wait_until_closed(self) -> None:
        """Waits until the other end has had enough."""
        try:
            while True:
                self.receive()
        except (Closed, OSError):
            return

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            chunk = self._socket.recv(count - len(data))
            if not chunk:
                raise Closed
            data += chunk
        return data
