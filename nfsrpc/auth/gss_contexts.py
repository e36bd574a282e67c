"""The contexts of one server worker: found by unguessable handles, each with its window of sequence numbers."""

import secrets
from collections import Counter, OrderedDict
from collections.abc import Callable
from threading import RLock
from typing import Any, TypeVar

from .gss_library import Protection
from .gss_wire import HANDLE


class Window:
    """Sequence numbers seen (RFC 2203 §5.3.3.1): each is taken once, and only within `size` of the highest."""

    __slots__ = ("_highest", "_seen", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._highest = 0
        self._seen = 0
        """Bit `n` is set if `highest - n` has been seen."""

    def take(self, number: int) -> bool:
        """Whether `number` is new. It is not from then on."""
        ahead = number - self._highest
        if ahead > 0:
            self._seen = (self._seen << ahead if ahead < self._size else 0) & (1 << self._size) - 1 | 1
            self._highest = number
            return True
        bit = 1 << -ahead
        if -ahead >= self._size or self._seen & bit:
            return False
        self._seen |= bit
        return True


class HalfMade:
    """A context that is being set up; `security` is the library's, once there is one.

    `at_work` says that a thread has it: the library takes one step of a context at a time.
    """

    __slots__ = ("at_work", "expires", "handle", "peer", "security")

    def __init__(self, handle: bytes, peer: str, expires: float) -> None:
        self.handle = handle
        self.peer = peer
        self.expires = expires
        self.security: Any = None
        self.at_work = False


class Context:
    """An established context, and what the authenticator makes of its principal, by service."""

    __slots__ = ("expires", "handle", "names", "peer", "protection", "window")

    def __init__(
        self, handle: bytes, peer: str, protection: Protection, names: dict[int, Any], window: int, expires: float
    ) -> None:
        self.handle = handle
        self.peer = peer
        self.protection = protection
        self.names = names
        self.window = Window(window)
        self.expires = expires


_Any = TypeVar("_Any", HalfMade, Context)


class ContextTable:
    """Bounded by number, by peer and by time. `clock` gives seconds.

    Over a bound the half-made context that is oldest goes first, then the one
    that was used longest ago. Who loses one is told CREDPROBLEM and makes another.
    """

    def __init__(self, most: int, most_per_peer: int, clock: Callable[[], float]) -> None:
        self._most = most
        self._most_per_peer = most_per_peer
        self._clock = clock
        self._contexts: OrderedDict[bytes, Context] = OrderedDict()
        self._half_made: OrderedDict[bytes, HalfMade] = OrderedDict()
        self._per_peer: Counter[str] = Counter()
        self._changing = RLock()
        """Contexts are set up in threads."""

    def __len__(self) -> int:
        return len(self._contexts) + len(self._half_made)

    def open(self, peer: str, seconds: float) -> HalfMade:
        """A new context, half made, that lives for `seconds`."""
        context = HalfMade(secrets.token_bytes(HANDLE), peer, self._clock() + seconds)
        with self._changing:
            self._make_room(peer)
            self._half_made[context.handle] = context
            self._per_peer[peer] += 1
        return context

    def adopt(self, context: Context) -> None:
        """Keep an established context."""
        with self._changing:
            self._make_room(context.peer)
            self._contexts[context.handle] = context
            self._per_peer[context.peer] += 1

    def _make_room(self, peer: str) -> None:
        while self._per_peer[peer] >= self._most_per_peer:
            self.remove(self._victim(peer))
        while len(self) >= self._most:
            self.remove(self._victim(None))

    def _victim(self, peer: str | None) -> HalfMade | Context:
        for contexts in (self._half_made, self._contexts):
            for context in contexts.values():
                if peer is None or context.peer == peer:
                    return context
        raise LookupError("no context")

    def half_made(self, handle: bytes) -> HalfMade | None:
        """The context that is being set up under `handle`."""
        return self._living(self._half_made.get(handle))

    def find(self, handle: bytes) -> Context | None:
        """The established context called `handle`."""
        context = self._contexts.get(handle)
        if context is None or context.expires <= self._clock():
            return self._living(context)
        self._contexts.move_to_end(handle)
        return context

    def _living(self, context: _Any | None) -> _Any | None:
        if context is not None and context.expires <= self._clock():
            self.remove(context)
            return None
        return context

    def remove(self, context: HalfMade | Context) -> None:
        """Forget `context`."""
        with self._changing:
            found = self._contexts.pop(context.handle, None) or self._half_made.pop(context.handle, None)
            if found is None:
                return
            self._per_peer[context.peer] -= 1
            if not self._per_peer[context.peer]:
                del self._per_peer[context.peer]
