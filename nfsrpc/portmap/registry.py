"""The table of a portmapper: (program, version, netid) -> universal address, shared by all workers of a server."""

import time
from collections.abc import Callable, Collection
from struct import Struct

from nfsrpc.rpc.shared import SharedMemory

from .entry import Service
from .uaddr import from_uaddr

CAPACITY = 1024
"""Services that fit. A machine with a full house of RPC services has about a hundred."""
MAX_NETID, MAX_ADDRESS, MAX_OWNER = 12, 64, 32
"""Longest texts that are taken, in bytes."""
SUPERUSER = "superuser"
"""Owner that may change everything but the server's own entries."""
OURS = "the server itself"
"""Owner of the entries of the server that the portmapper is part of: nobody else may change them."""
_SETTLED = 5.0
"""Seconds that a new entry is believed unseen: some services register before they bind."""
_COUNT = Struct("=I")
_SLOT = Struct(f"=2Id{MAX_NETID}s{MAX_ADDRESS}s{MAX_OWNER}s")


class Registry:
    """Registrations in memory that is made before the workers are forked; `descriptor` is a predecessor's.

    An entry becomes visible when the count is raised over it, and a removed one is overwritten by the last
    before the count is lowered: a worker that dies in between leaves an entry twice, never half.
    """

    def __init__(self, descriptor: int | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._shared = SharedMemory(8 + CAPACITY * _SLOT.size, descriptor)
        self._memory = self._shared.memory

    def fileno(self) -> int:
        """What a successor attaches to."""
        return self._shared.fileno()

    def _read(self) -> list[tuple[float, Service]]:
        (count,) = _COUNT.unpack_from(self._memory)
        entries = []
        for at in range(8, 8 + count * _SLOT.size, _SLOT.size):
            program, version, made, *texts = _SLOT.unpack_from(self._memory, at)
            netid, address, owner = (text.rstrip(b"\0").decode() for text in texts)
            entries.append((made, Service(program, version, netid, address, owner)))
        return entries

    def _put(self, place: int, made: float, entry: Service) -> None:
        texts = (text.encode() for text in (entry.netid, entry.address, entry.owner))
        _SLOT.pack_into(self._memory, 8 + place * _SLOT.size, entry.program, entry.version, made, *texts)

    def set(self, entry: Service) -> bool:
        """Add `entry`; whether it is there now.

        False if its program, version and netid have another address, if the table is full, or if a text is too long.
        """
        sizes = (entry.netid, MAX_NETID), (entry.address, MAX_ADDRESS), (entry.owner, MAX_OWNER)
        if any(len(text.encode()) > most for text, most in sizes):
            return False
        with self._shared:
            entries = self._read()
            for _, other in entries:
                if other[:3] == entry[:3]:
                    return other.address == entry.address
            if len(entries) >= CAPACITY:
                return False
            self._put(len(entries), self._clock(), entry)
            _COUNT.pack_into(self._memory, 0, len(entries) + 1)
        return True

    def unset(self, program: int, version: int, netid: str, owner: str) -> bool:
        """Remove what is `owner`'s of `program` in `version`, over `netid` or ("") over all; whether there was any."""
        def goes(_made: float, entry: Service) -> bool:
            if entry[:2] != (program, version) or netid not in ("", entry.netid) or entry.owner == OURS:
                return False
            return owner in (SUPERUSER, entry.owner)

        return self._remove(goes)

    def sweep(self, dead: Callable[[Service], bool]) -> bool:
        """Remove entries that are `dead` and not new; whether any was."""
        settled = self._clock() - _SETTLED
        return self._remove(lambda made, entry: made < settled and entry.owner != OURS and dead(entry))

    def _remove(self, goes: Callable[[float, Service], bool]) -> bool:
        with self._shared:
            entries = self._read()
            stay = [(made, entry) for made, entry in entries if not goes(made, entry)]
            for place, (made, entry) in enumerate(stay):
                if entries[place] != (made, entry):
                    self._put(place, made, entry)
            _COUNT.pack_into(self._memory, 0, len(stay))
        return len(stay) < len(entries)

    def find(self, program: int, version: int, netid: str) -> Service | None:
        """The entry of `program` over `netid` in exactly this version."""
        return next((entry for entry in self.entries() if entry[:3] == (program, version, netid)), None)

    def find_any(self, program: int, version: int, netid: str) -> Service | None:
        """The entry of `program` over `netid`: in this version, else in any other.

        Sun's portmapper answers so, and callers rely on it: `showmount` asks for MOUNT version 3 first and learns the
        real range from the program's own PROG_MISMATCH; `rpcinfo -t` asks for version 0.
        """
        found = [entry for entry in self.entries() if (entry.program, entry.netid) == (program, netid)]
        return next((entry for entry in found if entry.version == version), found[0] if found else None)

    def entries(self) -> list[Service]:
        """Every registration, in the order they were made."""
        with self._shared:
            return [entry for _, entry in self._read()]


def port_of(entry: Service, netids: Collection[str] = ("udp", "tcp")) -> int:
    """The port of an entry over one of `netids`, 0 for any other."""
    return from_uaddr(entry.address).port if entry.netid in netids else 0
