"""What every test may ask for."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from harness.oracle import Oracle
from harness.payload import random_source
from harness.rpc import Shim
from harness.tracker import Tracker


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Randomness of this test alone, from a seed that is printed."""
    return random_source(request.node.name)


@pytest.fixture
def start_shim(tmp_path: Path) -> Iterator[Callable[..., Shim]]:
    """Starts shims that are gone at the end of the test."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(Shim(**({"cwd": tmp_path} | options)))


@pytest.fixture
def shim(start_shim: Callable[..., Shim]) -> Shim:
    """A shim without a session."""
    return start_shim()


@pytest.fixture
def ours(shim: Shim) -> Shim:
    """A shim with a session on loopback."""
    shim.start_session()
    return shim


@pytest.fixture
def oracle() -> Iterator[Oracle]:
    """A libtorrent session on loopback."""
    with Oracle() as oracle:
        yield oracle


@pytest.fixture
def tracker() -> Iterator[Tracker]:
    """A tracker that knows nobody yet."""
    with Tracker() as tracker:
        yield tracker
