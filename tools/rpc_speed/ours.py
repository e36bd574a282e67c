"""A client of ours, measured in a process of its own, so that it can be one of another Python.

Prints the calls a second, and the microseconds of processor time that each took the client.

    ours.py DIRECTORY_OF_ECHO udp|tcp PORT SIZE CALLS blocking|asyncio together|each|single
"""

import asyncio
import sys
from collections import deque
from typing import Any

from others import Stopwatch

from nfsrpc.transport import aio_tcp, aio_udp, client_tcp, client_udp

FLIGHT = 16
"""Calls under way at once."""
GROUP = FLIGHT // 2
"""Calls that are sent together: as many again are under way meanwhile."""
BLOCKING = {"udp": client_udp.connect_udp, "tcp": client_tcp.connect_tcp}
ASYNCIO: Any = {"udp": aio_udp.connect_udp, "tcp": aio_tcp.connect_tcp}


def together(client: Any, procedure: Any, arguments: Any, calls: int) -> None:
    """Groups of calls, two of them under way."""
    flying: deque[Any] = deque()
    for _ in range(calls // GROUP):
        flying.append(client.submit_all(procedure, [arguments] * GROUP))
        if len(flying) == FLIGHT // GROUP:
            for call in flying.popleft():
                client.wait(call)
    for group in flying:
        for call in group:
            client.wait(call)


def each(client: Any, procedure: Any, arguments: Any, calls: int) -> None:
    """A call whenever the oldest is answered."""
    flying = deque(client.submit(procedure, arguments) for _ in range(FLIGHT))
    for _ in range(calls - FLIGHT):
        client.wait(flying.popleft())
        flying.append(client.submit(procedure, arguments))
    for call in flying:
        client.wait(call)


def single(client: Any, procedure: Any, arguments: Any, calls: int) -> None:
    """One call after the other."""
    for _ in range(calls):
        client.call(procedure, arguments)


async def aio_together(client: Any, procedure: Any, arguments: Any, calls: int) -> None:
    """Groups of calls, two of them under way."""
    flying: deque[Any] = deque()
    for _ in range(calls // GROUP):
        flying.append(await client.submit_all(procedure, [arguments] * GROUP))
        if len(flying) == FLIGHT // GROUP:
            for call in flying.popleft():
                await client.wait(call)
    for group in flying:
        for call in group:
            await client.wait(call)


async def aio_each(client: Any, procedure: Any, arguments: Any, calls: int) -> None:
    """As many tasks as there are calls under way."""
    await asyncio.gather(*(aio_single(client, procedure, arguments, calls // FLIGHT) for _ in range(FLIGHT)))


async def aio_single(client: Any, procedure: Any, arguments: Any, calls: int) -> None:
    """One call after the other."""
    for _ in range(calls):
        await client.call(procedure, arguments)


async def awaiting(proto: str, port: int, way: str, procedure: Any, arguments: Any, calls: int) -> tuple[float, float]:
    """What the asyncio client does."""
    async with await ASYNCIO[proto]("127.0.0.1", port) as client:
        watch = Stopwatch()
        await {"together": aio_together, "each": aio_each, "single": aio_single}[way](
            client, procedure, arguments, calls
        )
        return watch.of(calls)


def blocking(proto: str, port: int, way: str, procedure: Any, arguments: Any, calls: int) -> tuple[float, float]:
    """What the blocking client does."""
    with BLOCKING[proto]("127.0.0.1", port) as client:
        watch = Stopwatch()
        {"together": together, "each": each, "single": single}[way](client, procedure, arguments, calls)
        return watch.of(calls)


def main(place: str, proto: str, port: str, size: str, calls: str, kind: str, way: str) -> None:
    """Measure, print."""
    sys.path.insert(0, place)
    import echo  # type: ignore[import-not-found]

    procedure = echo.SPEED_PROGRAM_1_service.procedures[1 if int(size) else 0]
    arguments = (bytes(int(size)),) if int(size) else ()
    what = (proto, int(port), way, procedure, arguments, int(calls) // FLIGHT * FLIGHT)
    print(*(blocking(*what) if kind == "blocking" else asyncio.run(awaiting(*what))))


if __name__ == "__main__":
    main(*sys.argv[1:])
