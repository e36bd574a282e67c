"""What a server remembers of calls that must not run twice: *at most once* for services without a store.

The entry is written before the handler runs. So whatever happens afterwards, a
retransmission finds that the call has begun: it gets the kept
reply, silence while the call is under way, or SYSTEM_ERR if its worker died
in the middle or the reply could not be kept. It never runs again.

`MemoryHistory` serves one worker, `nfsrpc.rpc.history_table.SharedHistory` several; a
service with a store keeps its results there, in the transaction of the change
(`nfsrpc.rpc.work`), and survives a crash of the whole server besides.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple, Protocol

RETENTION = 120.0
"""Seconds that an entry is kept at least: clients stop sending a call again before that (see `AT_MOST_ONCE`)."""
CAPACITY = 1 << 16
"""Calls remembered. With `RETENTION` that is 546 calls a second for ever, and any burst of 65 536."""
ROOM = 32 << 20
"""Bytes of kept results: 512 for each entry."""


class Kept(NamedTuple):
    """How a call ended: an accept_stat (RFC 5531 §9), and with SUCCESS the plain encoded result."""

    stat: int
    result: bytes


class Full(Exception):
    """No entry may be forgotten yet: the new call must wait. It gets silence, and is asked again."""


class UnderWay(Exception):
    """The call is running; its reply will come, or it is asked again."""


class Lost(Exception):
    """The call was begun, and how it ended is not known (any more)."""


class History(Protocol):
    """Storage of calls. `key` is `nfsrpc.rpc.dispatch.replay_key`'s."""

    def claim(self, key: bytes) -> Kept | None:
        """Enter a call; None: it is new, and now under way. Raises `UnderWay`, `Lost` or `Full`."""

    def settle(self, key: bytes, kept: Kept) -> None:
        """The call that was claimed has ended."""

    def release(self, key: bytes) -> None:
        """The call that was claimed has done nothing, and may be claimed again."""


class MemoryHistory:
    """A `History` in the memory of one process, bounded by `capacity` calls and `room` bytes of results.

    Results that do not fit go first, oldest first: their calls stay known and
    are `Lost`. A call is forgotten after `retention` seconds, and only when its place is needed.
    """

    def __init__(
        self,
        capacity: int = CAPACITY,
        room: int = ROOM,
        retention: float = RETENTION,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._capacity = capacity
        self._room = room
        self._retention = retention
        self._clock = clock
        self._began: OrderedDict[bytes, float] = OrderedDict()
        self._kept: OrderedDict[bytes, Kept | None] = OrderedDict()
        self._running: set[bytes] = set()
        self._held = 0

    def claim(self, key: bytes) -> Kept | None:
        """See `History`."""
        if key in self._running:
            raise UnderWay
        if key in self._began:
            kept = self._kept.get(key)
            if kept is None:
                raise Lost
            return kept
        if len(self._began) >= self._capacity:
            self._forget_oldest()
        self._began[key] = self._clock()
        self._running.add(key)
        return None

    def _forget_oldest(self) -> None:
        oldest, began = next(iter(self._began.items()))
        if oldest in self._running or self._clock() - began < self._retention:
            raise Full
        del self._began[oldest]
        gone = self._kept.pop(oldest, None)
        if gone is not None:
            self._held -= len(gone.result)

    def settle(self, key: bytes, kept: Kept) -> None:
        """See `History`."""
        self._running.discard(key)
        self._kept[key] = kept
        self._held += len(kept.result)
        while self._held > self._room:
            _, gone = self._kept.popitem(last=False)
            if gone is not None:
                self._held -= len(gone.result)

    def release(self, key: bytes) -> None:
        """See `History`."""
        self._running.discard(key)
        self._began.pop(key, None)
