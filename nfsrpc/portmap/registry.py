"""The table of a portmapper: (program, version, protocol) -> port, shared by all workers of a server."""

import fcntl
import mmap
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from struct import Struct

from .entry import Registered

CAPACITY = 1024
"""Registereds that fit. A machine with a full house of RPC services has about a hundred."""

_SLOT = Struct("=5I")


class Registry:
    """Registrations in memory that is mapped before the workers are forked.

    A worker that dies while it holds the lock gives it back (it is a record
    lock), at worst with one slot half written, which reads as another port
    for the service that was being registered.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, CAPACITY * _SLOT.size)
        self._lock = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the registry

    @contextmanager
    def _locked(self) -> Iterator[list[tuple[int, int, int, int, int]]]:
        """Hold the lock; yields the slots, which may be changed and are written back."""
        fcntl.lockf(self._lock, fcntl.LOCK_EX)
        try:
            slots: list[tuple[int, int, int, int, int]] = list(_SLOT.iter_unpack(self._memory[:]))
            before = list(slots)
            yield slots
            for place, (old, new) in enumerate(zip(before, slots, strict=True)):
                if old != new:
                    _SLOT.pack_into(self._memory, place * _SLOT.size, *new)
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN)

    def set(self, entry: Registered, own: bool = False) -> bool:
        """Add `entry`. False if its program, version and protocol are taken, or the table is full.

        An `own` entry belongs to the server itself: `unset` leaves it alone.
        """
        with self._locked() as slots:
            if any(slot[3] and slot[:3] == entry[:3] for slot in slots):
                return False
            for place, slot in enumerate(slots):
                if not slot[3]:
                    slots[place] = (*entry, int(own))
                    return True
            return False

    def unset(self, program: int, version: int) -> bool:
        """Remove every protocol of `program` and `version`. False if there was none, or only the server's own."""
        with self._locked() as slots:
            found = False
            for place, slot in enumerate(slots):
                if slot[3] and slot[:2] == (program, version) and not slot[4]:
                    slots[place] = (0, 0, 0, 0, 0)
                    found = True
            return found

    def port(self, program: int, version: int, protocol: int) -> int:
        """The port of `program` over `protocol`: in this version, else in any other; 0 if it is not registered.

        Sun's portmapper answers so, and callers rely on it: `showmount` asks for MOUNT version 3 first and learns the
        real range from the program's own PROG_MISMATCH; `rpcinfo -t` asks for version 0.
        """
        with self._locked() as slots:
            ports = {slot[1]: slot[3] for slot in slots if slot[3] and (slot[0], slot[2]) == (program, protocol)}
        return ports.get(version) or next(iter(ports.values()), 0)

    def mappings(self) -> list[Registered]:
        """Every registration, in the order they were made."""
        with self._locked() as slots:
            return [Registered(*slot[:4]) for slot in slots if slot[3]]
