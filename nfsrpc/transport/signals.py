"""Signals as something that a loop or a selector reads."""

import signal
import socket
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import Any


class Signals:
    """Signals as something to read; a context manager that puts the old handlers back."""

    def __init__(self, numbers: Sequence[signal.Signals]) -> None:
        self._numbers = numbers
        self._previous: dict[signal.Signals, Any] = {}
        self._received: deque[int] = deque()
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._theirs.setblocking(False)

    def __enter__(self) -> "Signals":
        self._previous = {number: signal.signal(number, self._note) for number in self._numbers}
        # Whoever runs us may have made them wait for their handlers.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._numbers)
        return self

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._received.append(number)
        with suppress(BlockingIOError):
            self._theirs.send(b"\0")

    def fileno(self) -> int:
        """What becomes readable."""
        return self._ours.fileno()

    def take(self) -> list[int]:
        """The signals that came, oldest first."""
        with suppress(BlockingIOError):
            self._ours.recv(4096)
        return [self._received.popleft() for _ in range(len(self._received))]

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._ours.close()
        self._theirs.close()
