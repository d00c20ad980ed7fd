"""An HTTP tracker that answers everything with bytes that a test chose."""

from __future__ import annotations

import socket
import threading
from types import TracebackType

HEADERS = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


def whole(body: bytes, extra: bytes = b"") -> bytes:
    """An answer in order."""
    return HEADERS + extra + b"Content-Length: %d\r\n\r\n" % len(body) + body


class BadTracker:
    """Answers everything with the same bytes. Used as a context manager."""

    def __init__(self, answer: list[bytes | None]) -> None:
        self._answer = answer
        self._ended = threading.Event()
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> BadTracker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/announce"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(0.1)
        request = b""
        with connection:
            try:
                while b"\r\n\r\n" not in request:
                    try:
                        part = connection.recv(4096)
                    except TimeoutError:
                        if self._ended.is_set():
                            return
                        continue
                    if not part:
                        return
                    request += part
                self.requests.append(request)
                connection.settimeout(30)
                for part in self._answer:
                    if part is None:
                        self._ended.wait()
                    else:
                        connection.sendall(part)
            except OSError:
                # The other end has had enough.
                return
