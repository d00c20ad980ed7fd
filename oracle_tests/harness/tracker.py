"""An HTTP tracker on loopback (BEP 3, BEP 23) that remembers what it was told."""

from __future__ import annotations

import http.server
import ipaddress
import threading
import urllib.parse
from dataclasses import dataclass, field
from types import TracebackType

from harness.bencode import bencode


@dataclass(frozen=True)
class Announce:
    """One announce, its parameters unescaped."""

    info_hash: str
    peer_id: bytes
    port: int
    event: str
    left: int
    compact: bool
    supports_encryption: bool
    user_agent: str


@dataclass
class Tracker:
    """A tracker that answers until its context ends. It knows only whom it was told of."""

    interval: int = 1800
    # How soon it may be asked again by somebody who is told to.
    min_interval: int = 1
    # Answered to every announce, where it is not empty.
    failure: str = ""
    # The asker's address as the tracker sees it (BEP 24), where it is not empty.
    external_ip: str = ""
    announces: list[Announce] = field(default_factory=list)
    _peers: dict[str, dict[bytes, int]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Tracker:
        tracker = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                tracker._answer(self)

            def log_message(self, *_: object) -> None:
                """Standard error is for failures."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """The announce URL; libtorrent wants this path of a tracker on loopback."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/announce"

    def announces_of(self, port: int) -> list[Announce]:
        """What the peer that listens at `port` announced."""
        with self._lock:
            return [announce for announce in self.announces if announce.port == port]

    def _answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        url = urllib.parse.urlsplit(request.path)
        # As bytes: hashes and ids are none that could be text.
        query = {
            name: urllib.parse.unquote_to_bytes(value)
            for name, _, value in (part.partition("=") for part in url.query.split("&"))
        }
        if url.path != "/announce":
            status, body = 404, b""
        elif self.failure:
            status, body = 200, bencode({"failure reason": self.failure})
        else:
            status, body = 200, self._announce(query, request.headers.get("User-Agent", ""))
        request.send_response(status)
        request.send_header("Content-Type", "text/plain")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def _announce(self, query: dict[str, bytes], user_agent: str) -> bytes:
        announce = Announce(
            info_hash=query["info_hash"].hex(),
            peer_id=query["peer_id"],
            port=int(query["port"]),
            event=query.get("event", b"").decode(),
            left=int(query["left"]),
            compact=query.get("compact") == b"1",
            supports_encryption=query.get("supportcrypto") == b"1",
            user_agent=user_agent,
        )
        with self._lock:
            self.announces.append(announce)
            peers = self._peers.setdefault(announce.info_hash, {})
            if announce.event == "stopped":
                peers.pop(announce.peer_id, None)
            else:
                peers[announce.peer_id] = announce.port
            others = [port for peer, port in peers.items() if peer != announce.peer_id]
        host = ipaddress.IPv4Address("127.0.0.1").packed
        seen = ipaddress.ip_address(self.external_ip).packed if self.external_ip else None
        return bencode(
            ({"external ip": seen} if seen else {})
            | {
                "interval": self.interval,
                "min interval": self.min_interval,
                "complete": 0,
                "incomplete": len(others) + 1,
                "peers": b"".join(host + port.to_bytes(2, "big") for port in others),
            }
        )
