"""Runs the jobs of a copy, many of them at once, on the caller's thread.

A job is a coroutine of the core (see `nfsrpc.client.wire`). While the reply that one waits for is on its way, others
send their requests: the oldest is waited for first, and most of the others' replies have come by then.
"""

from collections import deque
from collections.abc import Coroutine
from typing import Any

from .job import Copy, Job
from .on import Waiting

FILES = 128
"""Files under way at once, at most; as many as the wires let requests be in flight."""


def run(copy: Copy, files: int = FILES) -> None:
    """Run `copy` to its end, with up to `files` files under way."""
    width = min([files, *(wire.window for wire in copy.wires)])
    _run(copy.todo, width)
    _run(copy.settling(), width)


def _run(todo: deque[Job], width: int) -> None:
    waiting: deque[tuple[Coroutine[Waiting, Any, None], Waiting]] = deque()
    try:
        while todo or waiting:
            if todo and len(waiting) < width:
                job = todo.popleft()()
                following = _step(job, None)
            else:
                job, (wire, step) = waiting.popleft()
                try:
                    value = wire.perform(step)
                except OSError as error:
                    following = _step(job, error)
                else:
                    following = _step(job, value)
            if following is not None:
                waiting.append((job, following))
    finally:
        for job, _ in waiting:
            job.close()


def _step(job: Coroutine[Waiting, Any, None], outcome: Any) -> Waiting | None:
    """Give a job what it waits for; what it waits for next, None at its end."""
    try:
        return job.throw(outcome) if isinstance(outcome, OSError) else job.send(outcome)
    except StopIteration:
        return None
