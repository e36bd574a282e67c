"""Results of calls, kept with the changes they report, so that a call sent again finds its first answer.

Each client has a range of places, which its entries take in the order they are
made: what is added goes to one end of the range and what has to go leaves at
the other. Entries go when they are older than the lifetime, or when the client
has more than its share; some at a time, after as many have been added, so that
most units leave the old end of the table, and its pages, alone.
"""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Final

from . import schema
from .database import Database, blob
from .limits import VolumeLimits
from .unit import Outcome, Unit

_SWEPT_AT_ONCE: Final = 256
"""By how many entries a sweep takes away more than were added, at most."""
_CLIENTS_KNOWN: Final = 1024

_PLACES: Final = 1 << 43
"""Places in a range: at 10 000 calls a second, enough for 27 years without a pause of the client's."""
_RANGES: Final = 1 << 20
"""Ranges there are; with `_PLACES` they fill the 63 bits of a place."""


def _range_at(place: int) -> int:
    """First place of the range that `place` belongs to."""
    return place - place % _PLACES


class Replay:
    """The table of remembered results, and what this unit adds to it."""

    def __init__(
        self, unit: Unit, database: Database, limits: VolumeLimits, uptime: Callable[[], int], secret: bytes
    ) -> None:
        """`uptime`: ns that the volume has been served, over all servers; see `lock.VolumeLock`.

        `secret`: of the volume. Clients that happen to have the same range share
        their share, so nobody may know how to come to have another's.
        """
        self._unit = unit
        self._database = database
        self._limits = limits
        self._uptime = uptime
        self._new: dict[bytes, tuple[bytes, bytes]] = {}
        self._secret = secret[:64]
        self._ranges: dict[bytes, int] = {}
        self._newest: dict[int, int] = {}
        self._swept = 0
        self._swept_after = max(1, limits.replay_entries // 256)
        """Entries that are added between two sweeps: that part of a client's share it may have too much."""
        self._grown: dict[int, int] = {}
        """How many entries each range has been given since it was last swept."""

    def recall(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """The results there are under `keys`. One past its lifetime is none: whoever retransmitted has given up."""
        expired = self._uptime() - self._limits.replay_lifetime
        results: dict[bytes, bytes] = {}
        for start in range(0, len(keys), schema.REPLAY_GET_KEYS):
            some = keys[start : start + schema.REPLAY_GET_KEYS]
            results.update(self._database.all(schema.replay_get(len(some)), (expired, *map(blob, some))))
        for key in keys:
            fresh = self._new.get(key)
            if fresh is not None:
                results[key] = fresh[1]
        return results

    def remember(self, key: bytes, client: bytes, result: bytes) -> None:
        """Keep `result` under `key` when the unit commits."""
        self._unit.check_changing()
        self._unit.journal.set(self._new, key, (client, result))

    def flush(self) -> None:
        """Write what this unit adds; make room for it."""
        if not self._new:
            return
        born = self._uptime()
        rows = []
        grown = self._grown
        for key, (client, result) in self._new.items():
            start = self._range(client)
            grown[start] = grown.get(start, 0) + 1
            place = self._newest[start] = self._newest_place(start) + 1
            rows.append((place, blob(key), born, blob(result)))
        self._database.many(schema.REPLAY_PUT, rows)
        added = sum(grown.values())
        if added >= self._swept_after:
            for start in grown:
                self._sweep(start, born, added)
            self._sweep_another(born, added)
            grown.clear()

    def _range(self, client: bytes) -> int:
        start = self._ranges.get(client)
        if start is None:
            digest = blake2b(client, digest_size=8, key=self._secret).digest()
            start = self._ranges[client] = int.from_bytes(digest) % _RANGES * _PLACES
        return start

    def _newest_place(self, start: int) -> int:
        place = self._newest.get(start)
        if place is None:
            found = self._database.one(schema.REPLAY_NEWEST, (start, start + _PLACES - 1))
            place = found[0] if found else start
        return place

    def _sweep(self, start: int, now: int, added: int) -> None:
        """Take away what a range has too much or too long: nothing, or more than was `added` since the last time."""
        end = start + _PLACES - 1
        expired = now - self._limits.replay_lifetime
        surplus = self._newest_place(start) - self._limits.replay_entries
        bound = added + _SWEPT_AT_ONCE
        oldest = self._database.one(schema.REPLAY_OLDEST, (start, end, 1))
        if oldest is None:
            return
        last = min(surplus, oldest[0] + bound)
        if oldest[1] <= expired:
            rows = self._database.all(schema.REPLAY_OLDEST, (start, end, bound))
            last = max(last, *[place for place, born in rows if born <= expired])
        if last >= oldest[0]:
            self._database.run(schema.REPLAY_DELETE, (start, last))

    def _sweep_another(self, now: int, added: int) -> None:
        """Clients that call no more leave entries, too: one range at a time, in turn."""
        (place,) = self._database.one(schema.REPLAY_NEXT, (self._swept,))
        if place is None:
            self._swept = 0
            return
        start = _range_at(place)
        self._swept = start + _PLACES - 1
        self._sweep(start, now, added)

    def settle(self, outcome: Outcome) -> None:
        """What was added is in the table now, or nowhere."""
        self._new.clear()
        if len(self._newest) > _CLIENTS_KNOWN or len(self._ranges) > _CLIENTS_KNOWN:
            self._newest.clear()
            self._ranges.clear()

    def forget(self) -> None:
        """Drop the places: other processes may have added entries."""
        self._new.clear()
        self._newest.clear()


def greatest_age(database: Database) -> int:
    """The latest `born` in the table, 0 if it is empty. As many look-ups as there are clients."""
    latest = 0
    end = 0
    while True:
        (place,) = database.one(schema.REPLAY_NEXT, (end,))
        if place is None:
            return latest
        start = _range_at(place)
        end = start + _PLACES - 1
        latest = max(latest, database.one(schema.REPLAY_NEWEST, (start, end))[1])
