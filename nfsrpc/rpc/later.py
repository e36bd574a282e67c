"""A reply that is still being made, in a thread of its own, while the loop goes on."""

import threading
from collections.abc import Callable
from typing import Final


class Later:
    """Stands in a turn's replies for one that comes when `give` is called, from whatever thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taker: Callable[[list[bytes] | None], None] | None = None
        self._given = threading.Event()
        self._reply: list[bytes] | None = None

    def give(self, reply: list[bytes] | None) -> None:
        """The reply is there; None for silence."""
        with self._lock:
            self._reply = reply
            self._given.set()
            taker = self._taker
        if taker is not None:
            taker(reply)

    def then(self, taker: Callable[[list[bytes] | None], None]) -> None:
        """Call `taker` with the reply, now or when it comes: in the thread that gives it."""
        with self._lock:
            self._taker = taker
            given = self._given.is_set()
        if given:
            taker(self._reply)

    def wait(self, timeout: float) -> list[bytes] | None:
        """The reply, for callers that have nothing else to do. TimeoutError after `timeout` seconds."""
        if not self._given.wait(timeout):
            raise TimeoutError("the reply has not come")
        return self._reply


class Postponed(Exception):
    """Raised by who answers later: the server half of a flavour, or a handler (`nfsrpc.rpc.dispatch.postponed`)."""

    def __init__(self, later: Later) -> None:
        super().__init__("later")
        self.later = later


class Held:
    """Stands in a turn's replies for one that comes with the next commit (`nfsrpc.rpc.dispatch.Dispatcher.commit`)."""


HELD: Final = Held()
