"""Requests of many files that leave together: one system call, and one turn of the server, for all of them."""

from itertools import groupby
from typing import Any, TypeVar

from nfsrpc.client.blocking_wire import BlockingWire
from nfsrpc.client.nfs2 import Request
from nfsrpc.client.wire import Flight

_TOGETHER = 32
"""Requests that leave at the latest when there are so many; while they are served, the next ones are made."""
T = TypeVar("T")


class Outbox:
    """Sends over a mount's `BlockingWire`, with requests held back until there are several, or `send` says so."""

    def __init__(self, wire: BlockingWire) -> None:
        self._wire = wire
        self._held: list[Flight[Any]] = []

    @property
    def window(self) -> int:
        """Requests that may be in flight at once."""
        return self._wire.window

    def submit(self, request: Request[T]) -> Flight[T]:
        """Send `request`, soon."""
        if len(self._held) >= _TOGETHER:
            self.send()
        flight: Flight[T] = Flight(self._wire, request, None)
        self._held.append(flight)
        return flight

    async def ask(self, request: Request[T]) -> T:
        """Send `request` and wait for its result."""
        flight = self.submit(request)
        result: T = await flight
        return result

    def drop(self, flight: Flight[Any]) -> None:
        """Nobody waits for `flight` any more."""
        if flight in self._held:
            self._held.remove(flight)
        else:
            self._wire.drop(flight)

    def send(self) -> None:
        """Send what is held, the requests of one procedure together. The order of different files does not matter."""
        self._held.sort(key=_number)
        for number, group in groupby(list(self._held), key=_number):
            flights = list(group)
            for flight, sent in zip(flights, self._wire.submit_all([one.request for one in flights]), strict=True):
                flight.call = sent.call
            self._held = [flight for flight in self._held if flight.request.number != number]


def _number(flight: Flight[Any]) -> int:
    return flight.request.number
