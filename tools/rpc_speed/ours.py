"""A client of ours, measured in a process of its own, so that it can be one of another Python.

Prints the calls a second, and the microseconds of processor time that each took the client.

    ours.py DIRECTORY_OF_ECHO blocking|asyncio udp|tcp PORT SIZE CALLS FLIGHT GROUP

FLIGHT calls are under way at once, and GROUP of them are sent together: both 1 for one call after the other.
"""

import asyncio
import sys
from collections import deque
from typing import Any

from others import Stopwatch

from nfsrpc.transport import aio_tcp, aio_udp, client_tcp, client_udp

BLOCKING = {"udp": client_udp.connect_udp, "tcp": client_tcp.connect_tcp}
ASYNCIO: Any = {"udp": aio_udp.connect_udp, "tcp": aio_tcp.connect_tcp}


def together(client: Any, procedure: Any, arguments: Any, calls: int, flight: int, group: int) -> None:
    """Groups of calls, as many under way as make up `flight`."""
    flying: deque[Any] = deque()
    for _ in range(calls // group):
        flying.append(client.submit_all(procedure, [arguments] * group))
        if len(flying) == flight // group:
            for call in flying.popleft():
                client.wait(call)
    for calls_of_group in flying:
        for call in calls_of_group:
            client.wait(call)


def each(client: Any, procedure: Any, arguments: Any, calls: int, flight: int) -> None:
    """A call whenever the oldest is answered."""
    flying = deque(client.submit(procedure, arguments) for _ in range(flight))
    for _ in range(calls - flight):
        client.wait(flying.popleft())
        flying.append(client.submit(procedure, arguments))
    for call in flying:
        client.wait(call)


def single(client: Any, procedure: Any, arguments: Any, calls: int) -> None:
    """One call after the other."""
    for _ in range(calls):
        client.call(procedure, arguments)


async def aio_together(client: Any, procedure: Any, arguments: Any, calls: int, flight: int, group: int) -> None:
    """Groups of calls, as many under way as make up `flight`."""
    flying: deque[Any] = deque()
    for _ in range(calls // group):
        flying.append(await client.submit_all(procedure, [arguments] * group))
        if len(flying) == flight // group:
            for call in flying.popleft():
                await client.wait(call)
    for calls_of_group in flying:
        for call in calls_of_group:
            await client.wait(call)


async def aio_single(client: Any, procedure: Any, arguments: Any, calls: int) -> None:
    """One call after the other."""
    for _ in range(calls):
        await client.call(procedure, arguments)


async def awaiting(
    proto: str, port: int, procedure: Any, arguments: Any, calls: int, flight: int, group: int
) -> tuple[float, float]:
    """What the asyncio client does."""
    async with await ASYNCIO[proto]("127.0.0.1", port) as client:
        watch = Stopwatch()
        if group > 1:
            await aio_together(client, procedure, arguments, calls, flight, group)
        else:
            tasks = (aio_single(client, procedure, arguments, calls // flight) for _ in range(flight))
            await asyncio.gather(*tasks)
        return watch.of(calls)


def blocking(
    proto: str, port: int, procedure: Any, arguments: Any, calls: int, flight: int, group: int
) -> tuple[float, float]:
    """What the blocking client does."""
    with BLOCKING[proto]("127.0.0.1", port) as client:
        watch = Stopwatch()
        if group > 1:
            together(client, procedure, arguments, calls, flight, group)
        elif flight > 1:
            each(client, procedure, arguments, calls, flight)
        else:
            single(client, procedure, arguments, calls)
        return watch.of(calls)


def main(place: str, kind: str, proto: str, port: str, size: str, calls: str, flight: str, group: str) -> None:
    """Measure, print."""
    sys.path.insert(0, place)
    import echo  # type: ignore[import-not-found]

    procedure = echo.SPEED_PROGRAM_1_service.procedures[1 if int(size) else 0]
    arguments = (bytes(int(size)),) if int(size) else ()
    most = int(flight)
    what = (proto, int(port), procedure, arguments, int(calls) // most * most, most, int(group))
    print(*(blocking(*what) if kind == "blocking" else asyncio.run(awaiting(*what))))


if __name__ == "__main__":
    main(*sys.argv[1:])
