"""Servers that run in a thread of the test's own process."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator

from nfsrpc.transport.aio_server import AsyncServer
from nfsrpc.transport.loop import Loop


@contextlib.contextmanager
def looping(loop: Loop) -> Iterator[None]:
    """The loop runs."""
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        yield
    finally:
        loop.stop()
        thread.join()


@contextlib.contextmanager
def awaiting(server: AsyncServer) -> Iterator[None]:
    """The server answers, in an event loop of its own."""
    events = asyncio.new_event_loop()
    thread = threading.Thread(target=events.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.start(), events).result(20)
        yield
    finally:
        asyncio.run_coroutine_threadsafe(server.close(), events).result(20)
        events.call_soon_threadsafe(events.stop)
        thread.join()
        events.close()
