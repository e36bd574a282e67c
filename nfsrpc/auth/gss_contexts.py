"""The contexts of one server worker: found by unguessable handles, each with its window of sequence numbers."""

import secrets
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any

from .gss_library import Protection

HANDLE = 16
"""Bytes of a handle, all random."""


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


class Context:
    """One context; `security` is the library's; `protection` is there when it is established."""

    __slots__ = ("expires", "handle", "names", "peer", "protection", "security", "window")

    def __init__(self, handle: bytes, peer: str, security: Any, window: int, expires: float) -> None:
        self.handle = handle
        self.peer = peer
        self.security = security
        self.window = Window(window)
        self.expires = expires
        self.protection: Protection | None = None
        self.names: dict[int, Any] = {}
        """What the authenticator makes of the principal, by service."""


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
        self._half_made: OrderedDict[bytes, Context] = OrderedDict()
        self._per_peer: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._contexts) + len(self._half_made)

    def open(self, peer: str, security: Any, window: int, seconds: float) -> Context:
        """A new context, half made, that lives for `seconds` unless it is established."""
        while self._per_peer[peer] >= self._most_per_peer:
            self.remove(self._victim(peer))
        while len(self) >= self._most:
            self.remove(self._victim(None))
        context = Context(secrets.token_bytes(HANDLE), peer, security, window, self._clock() + seconds)
        self._half_made[context.handle] = context
        self._per_peer[peer] += 1
        return context

    def _victim(self, peer: str | None) -> Context:
        for contexts in (self._half_made, self._contexts):
            for context in contexts.values():
                if peer is None or context.peer == peer:
                    return context
        raise LookupError("no context")

    def establish(self, context: Context, protection: Protection, seconds: float) -> None:
        """`context` is whole, and lives for `seconds`. Nothing happens if it was removed meanwhile."""
        if self._half_made.pop(context.handle, None) is None:
            return
        context.protection = protection
        context.expires = self._clock() + seconds
        self._contexts[context.handle] = context

    def half_made(self, handle: bytes) -> Context | None:
        """The context that is being set up under `handle`."""
        return self._living(self._half_made.get(handle))

    def find(self, handle: bytes) -> Context | None:
        """The established context called `handle`."""
        context = self._contexts.get(handle)
        if context is None or context.expires <= self._clock():
            return self._living(context)
        self._contexts.move_to_end(handle)
        return context

    def _living(self, context: Context | None) -> Context | None:
        if context is not None and context.expires <= self._clock():
            self.remove(context)
            return None
        return context

    def remove(self, context: Context) -> None:
        """Forget `context`."""
        found = self._contexts.pop(context.handle, None) or self._half_made.pop(context.handle, None)
        if found is None:
            return
        self._per_peer[context.peer] -= 1
        if not self._per_peer[context.peer]:
            del self._per_peer[context.peer]
