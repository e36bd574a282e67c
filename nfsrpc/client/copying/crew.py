"""Runs the jobs of a copy, many of them at once, on the caller's thread.

A job is a coroutine of the core (see `nfsrpc.client.wire`). While the reply that one waits for is on its way, others
send their requests: the oldest is waited for first, and most of the others' replies have come by then.
"""

from collections import deque
from collections.abc import Coroutine
from typing import Any

from nfsrpc.client.wire import Flight

from .job import Copy, Job
from .outbox import Outbox

FILES = 128
"""Files under way at once, at most; as many as the wires let requests be in flight."""


def run(copy: Copy, files: int = FILES) -> None:
    """Run `copy` to its end, with up to `files` files under way."""
    wires = copy.wires
    width = min([files, *(wire.window for wire in wires)])
    _run(copy.todo, wires, width)
    _run(copy.settling(), wires, width)


def _run(todo: deque[Job], wires: list[Outbox], width: int) -> None:
    waiting: deque[tuple[Coroutine[Flight[Any], Any, None], Flight[Any]]] = deque()
    try:
        while todo or waiting:
            if todo and len(waiting) < width:
                job = todo.popleft()()
                following = _step(job, None)
            else:
                job, flight = waiting.popleft()
                try:
                    if flight.call is None or not flight.wire.ready(flight):
                        for wire in wires:
                            wire.send()  # also what is held of others: they would wait as long as this one does
                    value = flight.wire.take(flight)
                except OSError as error:
                    following = _step(job, error)
                else:
                    following = _step(job, value)
            if following is not None:
                waiting.append((job, following))
    finally:
        for job, _ in waiting:
            job.close()


def _step(job: Coroutine[Flight[Any], Any, None], outcome: Any) -> Flight[Any] | None:
    """Give a job what it waits for; what it waits for next, None at its end."""
    try:
        return job.throw(outcome) if isinstance(outcome, OSError) else job.send(outcome)
    except StopIteration:
        return None
