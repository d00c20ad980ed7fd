"""Waiting for conditions, never for a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# Enough for the slowest machine; what is waited for comes in a fraction of it.
DEADLINE_SECONDS = 120.0

# How often a condition is looked at that nobody tells us about.
POLL_SECONDS = 0.02


def wait_until(condition: Callable[[], T], what: str, seconds: float = DEADLINE_SECONDS) -> T:
    """Returns the first true value of `condition`; fails naming `what` after `seconds`.

    The condition is looked at once more after the deadline, so a machine that was asleep
    in between does not fail the test."""
    deadline = time.monotonic() + seconds
    while True:
        late = time.monotonic() > deadline
        if value := condition():
            return value
        if late:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(POLL_SECONDS)
