"""The seam between what the client does and how it waits: the core is coroutines, and these are what they wait for.

The core (`tree`, `streams`) is written once, as ``async def`` without asyncio.
It sends requests through a `Wire` without waiting, and waits by awaiting a
`Flight` or a `Remount`, which whoever drives the coroutine performs: the
blocking mount by blocking its thread, the asyncio mount by awaiting. Between two
waits nothing else of the same mount runs (the blocking driver holds the
mount's lock), so the core needs no locks of its own.
"""

from collections.abc import Generator
from typing import Any, Generic, Protocol, TypeVar

from .nfs2 import Request

T = TypeVar("T")
WINDOW = 128
"""READs or WRITEs of one file in flight, at most."""


class Flight(Generic[T]):
    """A request that has been sent over `wire`; awaited, its result or its `OSError`. `call` is the driver's own.

    `dropped`: somebody has given it up, and whoever still waits for it gets an `OSError` that means nothing.
    """

    __slots__ = ("call", "dropped", "request", "wire")

    def __init__(self, wire: "Wire", request: Request[T], call: Any) -> None:
        self.wire = wire
        self.request = request
        self.call = call
        self.dropped = False

    def __await__(self) -> Generator["Flight[T]", T, T]:
        return (yield self)


class Wire(Protocol):
    """What sends requests to the NFS server."""

    def submit(self, request: Request[T]) -> Flight[T]:
        """Send `request` without waiting. Every flight is to be landed or dropped."""

    def submit_all(self, requests: list[Request[T]]) -> list[Flight[T]]:
        """Send requests of one procedure together."""

    @property
    def window(self) -> int:
        """READs or WRITEs of one file that may be in flight at once."""

    def ready(self, flight: Flight[Any]) -> bool:
        """Whether `take` would not have to wait."""

    def take(self, flight: Flight[T]) -> T:
        """The result of a flight that is ready, or its `OSError`."""

    def drop(self, flight: Flight[Any]) -> None:
        """Nobody waits for `flight` any more."""


class Remount:
    """Awaited by the core: the root handle, asked of the mount server once more."""

    def __await__(self) -> Generator["Remount", bytes, bytes]:
        return (yield self)


Step = Flight[Any] | Remount
"""What a coroutine of the core waits for."""
