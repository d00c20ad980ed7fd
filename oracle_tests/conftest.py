"""What every test may ask for."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from harness.oracle import Oracle
from harness.payload import random_source
from harness.rpc import Shim, is_windows_shim
from harness.tracker import Tracker


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what Windows has not, and says so to who counts."""
    if not is_windows_shim():
        return
    marks = {item: item.get_closest_marker("not_on_windows") for item in items}
    skipped = [item for item in items if marks[item] is not None]
    items[:] = [item for item in items if marks[item] is None]
    config.hook.pytest_deselected(items=skipped)
    if list_of_skips := os.environ.get("GODOT_TORRENT_SKIPS"):
        # Once for all parameters of a test.
        lines = {f"{item.nodeid.partition('[')[0]}: {marks[item].args[0]}\n" for item in skipped}
        with Path(list_of_skips).open("a") as file:
            file.writelines(sorted(lines))


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
