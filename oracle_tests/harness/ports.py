"""Ports at which nobody answers."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator


@contextlib.contextmanager
def closed_port(host: str = "127.0.0.1") -> Iterator[int]:
    """A port that refuses connections while this lasts: it is taken, so that nobody else gets
    it meanwhile, and nobody listens."""
    with socket.socket() as taken:
        taken.bind((host, 0))
        yield taken.getsockname()[1]
