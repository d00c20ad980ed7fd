"""A seed that does as it is told: it serves one payload over plain BEP 3 and remembers
every request in the order in which it came."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from types import TracebackType
from typing import BinaryIO

from harness.payload import Payload, tree

_CHOKE, _UNCHOKE, _INTERESTED, _BITFIELD, _REQUEST, _PIECE = 0, 1, 2, 5, 6, 7


class ScriptedSeed:
    """Listens on loopback and serves whoever connects. Used as a context manager.

    It answers so many requests and no more before it is allowed to: whatever is to be looked
    at in the middle of a download is there for as long as it takes to look."""

    def __init__(self, payload: Payload, answers: int | None = None) -> None:
        self._data = b"".join(content for _, content in sorted(tree(payload.root).items()))
        self._info_hash = bytes.fromhex(payload.info_hash)
        self._piece_size = payload.piece_size
        self._pieces = -(-len(self._data) // payload.piece_size)
        # Answers that may be given; `None` for all.
        self._answers = answers
        self._closed = False
        self._gate = threading.Condition()
        # Piece and offset of every request that was looked at: the last one may wait still.
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
        with self._gate:
            self._closed = True
            self._gate.notify_all()
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

    def allow(self, answers: int | None = None) -> None:
        """Answers so many requests more, or all."""
        with self._gate:
            self._answers = None if answers is None else (self._answers or 0) + answers
            self._gate.notify_all()

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
        with self._gate:
            self._gate.wait_for(lambda: self._closed or self._answers != 0)
            if self._closed:
                return
            if self._answers is not None:
                self._answers -= 1
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
