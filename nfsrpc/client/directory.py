"""What a directory holds, asked of the server: its names, and what they are. The core, without I/O of its own."""

from collections import deque
from collections.abc import Callable

from nfsrpc.protocols.nfs_prot import fattr

from . import nfs2
from .wire import Flight, Wire

WINDOW = 64
"""Requests about names in flight at once, for one caller."""
Found = tuple[bytes, fattr] | OSError
"""Handle and attributes of a file, or why they cannot be had."""


async def read_names(wire: Wire, directory: bytes, page: int) -> list[bytes]:
    """The names in `directory` (a handle), without ``.`` and ``..``, in the server's order; `page` bytes at a time."""
    listing, names = nfs2.Listing(directory, page), []
    while not listing.complete:
        entries = listing.take(await wire.submit(listing.request()))
        names += [entry.name for entry in entries if entry.name not in (b".", b"..")]
    return names


async def look_up(wire: Wire, directory: bytes, names: list[bytes], learn: Callable[[bytes, Found], None]) -> None:
    """Look up `names` in `directory` (a handle), many in flight together; `learn` is told what each is."""
    sent: deque[tuple[list[bytes], list[Flight[tuple[bytes, fattr]]]]] = deque()

    async def land() -> None:
        for name, flight in zip(*sent.popleft(), strict=True):
            found: Found
            try:
                found = wire.take(flight) if wire.ready(flight) else await flight
            except OSError as error:
                found = error
            learn(name, found)

    # Half of the window at a time: the server has the one half while the other one is made.
    for start in range(0, len(names), WINDOW // 2):
        if len(sent) > 1:
            await land()
        together = names[start : start + WINDOW // 2]
        sent.append((together, wire.submit_all([nfs2.lookup(directory, name) for name in together])))
    while sent:
        await land()
