"""A seed that does as it is told: it serves one payload over plain BEP 3 and remembers
every request in the order in which it came."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from types import TracebackType
from typing import BinaryIO

from harness.payload import Payload, tree

_CHOKE, _UNCHOKE, _INTERESTED, _BITFIELD, _REQUEST, _PIECE = 0, 1, 2, 5, 6, 7


class ScriptedSeed:
    """Listens on loopback and serves whoever connects. Used as a context manager."""

    def __init__(self, payload: Payload, seconds_per_block: float = 0.0) -> None:
        self._data = b"".join(content for _, content in sorted(tree(payload.root).items()))
        self._info_hash = bytes.fromhex(payload.info_hash)
        self._piece_size = payload.piece_size
        self._pieces = -(-len(self._data) // payload.piece_size)
        self._seconds_per_block = seconds_per_block
        # Piece and offset of every request.
        self.requests: list[tuple[int, int]] = []
        self._connections: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)

    def __enter__(self) -> ScriptedSeed:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _close(self._listener)
        # Whoever came until now is among the connections when it has ended.
        self._threads[0].join()
        for connection in self._connections:
            _close(connection)
        for thread in self._threads:
            thread.join()

    @property
    def pieces(self) -> list[int]:
        """The pieces that were asked for, each once, in the order of their first requests."""
        return list(dict.fromkeys(piece for piece, _ in self.requests))

    def _start(self, run: object, *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection.makefile("rb") as stream:
                handshake = stream.read(68)
                if handshake[28:48] != self._info_hash:
                    return
                connection.sendall(
                    b"\x13BitTorrent protocol"
                    + bytes(8)
                    + self._info_hash
                    + b"-SC0001-scriptedseed"
                )
                bits = bytearray(-(-self._pieces // 8))
                for piece in range(self._pieces):
                    bits[piece // 8] |= 0x80 >> piece % 8
                _send(connection, _BITFIELD, bytes(bits))
                _send(connection, _UNCHOKE, b"")
                while True:
                    (length,) = struct.unpack(">I", _read(stream, 4))
                    if length:
                        message = _read(stream, length)
                        if message[0] == _REQUEST:
                            self._answer(connection, *struct.unpack(">III", message[1:]))
        except (OSError, EOFError):
            # The other end, or the test, closed it, perhaps in the middle of a message.
            return

    def _answer(self, connection: socket.socket, piece: int, begin: int, length: int) -> None:
        self.requests.append((piece, begin))
        if self._seconds_per_block:
            time.sleep(self._seconds_per_block)
        at = piece * self._piece_size + begin
        header = struct.pack(">II", piece, begin)
        _send(connection, _PIECE, header + self._data[at : at + length])


def _close(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        # Somebody may be waiting for it in another thread.
        end.shutdown(socket.SHUT_RDWR)
    end.close()


def _read(stream: BinaryIO, count: int) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise EOFError
    return data


def _send(connection: socket.socket, number: int, body: bytes) -> None:
    connection.sendall(struct.pack(">IB", len(body) + 1, number) + body)
