"""Results of calls, kept with the changes they report, so that a call sent again finds its first answer.

Entries of a client are numbered (`place`) in the order they were made. They go
when they are older than the lifetime, or when the client has more than its
share; a few at a time, in units that add some.
"""

from collections.abc import Callable, Sequence

from . import schema
from .database import Database
from .limits import VolumeLimits
from .unit import Outcome, Unit

_SWEPT_AT_ONCE = 64
_CLIENTS_KNOWN = 1024


class Replay:
    """The table of remembered results, and what this unit adds to it."""

    def __init__(self, unit: Unit, database: Database, limits: VolumeLimits, uptime: Callable[[], int]) -> None:
        """`uptime`: ns that the volume has been served, over all servers; see `lock.VolumeLock`."""
        self._unit = unit
        self._database = database
        self._limits = limits
        self._uptime = uptime
        self._new: dict[bytes, tuple[bytes, bytes]] = {}
        self._newest: dict[bytes, int] = {}
        self._swept = b""

    def recall(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """The results there are under `keys`. One past its lifetime is none: whoever retransmitted has given up."""
        expired = self._uptime() - self._limits.replay_lifetime
        results: dict[bytes, bytes] = {}
        for start in range(0, len(keys), schema.REPLAY_GET_KEYS):
            some = keys[start : start + schema.REPLAY_GET_KEYS]
            results.update(self._database.all(schema.replay_get(len(some)), (expired, *some)))
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
        for key, (client, result) in self._new.items():
            place = self._newest_place(client) + 1
            self._newest[client] = place
            rows.append((key, client, place, born, result))
        self._database.many(schema.REPLAY_PUT, rows)
        added = len(rows)
        for client in {row[1] for row in rows}:
            self._sweep(client, born, added)
        self._sweep_another(born, added)

    def _newest_place(self, client: bytes) -> int:
        place = self._newest.get(client)
        if place is None:
            found = self._database.one(schema.REPLAY_NEWEST, (client,))
            place = found[0] if found else 0
        return place

    def _sweep(self, client: bytes, now: int, added: int) -> None:
        """Take away what `client` has too much or too long: nothing, or more than was added."""
        expired = now - self._limits.replay_lifetime
        surplus = self._newest_place(client) - self._limits.replay_entries
        bound = added + _SWEPT_AT_ONCE
        oldest = self._database.one(schema.REPLAY_OLDEST, (client, 1))
        if oldest is None or (oldest[1] > surplus and oldest[2] > expired):
            return
        rows = self._database.all(schema.REPLAY_OLDEST, (client, bound))
        gone = [(key,) for key, place, born in rows if place <= surplus or born <= expired]
        self._database.many(schema.REPLAY_DELETE, gone)

    def _sweep_another(self, now: int, added: int) -> None:
        """Clients that call no more leave entries, too: one client a unit, in turn."""
        (client,) = self._database.one(schema.REPLAY_NEXT_CLIENT, (self._swept,))
        self._swept = bytes(client) if client is not None else b""
        if client is not None:
            self._sweep(bytes(client), now, added)

    def settle(self, outcome: Outcome) -> None:
        """What was added is in the table now, or nowhere."""
        self._new.clear()
        if len(self._newest) > _CLIENTS_KNOWN:
            self._newest.clear()

    def forget(self) -> None:
        """Drop the places: other processes may have added entries."""
        self._new.clear()
        self._newest.clear()


def greatest_age(database: Database) -> int:
    """The latest `born` in the table, 0 if it is empty. As many look-ups as there are clients."""
    latest = 0
    client: bytes | None = b""
    while True:
        (client,) = database.one(schema.REPLAY_NEXT_CLIENT, (client,))
        if client is None:
            return latest
        latest = max(latest, database.one(schema.REPLAY_NEWEST, (client,))[1])
