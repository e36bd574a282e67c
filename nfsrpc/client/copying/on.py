"""Coroutines of two mounts in one: each wait says whose it is."""

from collections.abc import Awaitable, Coroutine, Generator
from typing import Any, Generic, TypeVar

from nfsrpc.client.wire import Step

from .outbox import Outbox

T = TypeVar("T")
Waiting = tuple[Outbox, Step]
"""What a job waits for, and who brings it."""


def on(wire: Outbox | None, work: Coroutine[Step, Any, T]) -> Awaitable[T]:
    """To be awaited: `work`, whose waits are those of `wire`; without a wire it has none. A copy may have two wires."""
    return work if wire is None else _On(wire, work)


class _On(Generic[T]):
    """Awaited: `work`, with each of its waits told to be `wire`'s."""

    __slots__ = ("_wire", "_work")

    def __init__(self, wire: Outbox, work: Coroutine[Step, Any, T]) -> None:
        self._wire = wire
        self._work = work

    def __await__(self) -> Generator[Waiting, Any, T]:
        work, wire = self._work, self._wire
        try:
            step = work.send(None)
            while True:
                try:
                    value = yield (wire, step)
                except BaseException as error:
                    step = work.throw(error)
                else:
                    step = work.send(value)
        except StopIteration as end:
            result: T = end.value
            return result
