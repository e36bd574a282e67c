"""Waiting for what another thread or process does."""

import threading
import time
from collections.abc import Callable

LIMIT = 60.0  # seconds


def until(condition: Callable[[], object], what: str = "") -> None:
    """Wait until `condition` holds; AssertionError, with `what` was awaited, if it never does."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, what
        threading.Event().wait(0.002)
