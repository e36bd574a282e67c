"""The inode table: rows by number, cached while they hold, written once per unit however often they change."""

import errno
from itertools import islice
from typing import Any, Final

from ..interface import Attributes, Ufid
from . import schema
from .accounts import Quotas
from .database import Database
from .free import FreeNumbers
from .limits import VolumeLimits
from .unit import Outcome, Unit

_CLOCK_PUT_BACK: Final = 10**9
"""ns that a clock may jump back without a file's mtime doing the same."""


class Inode(Attributes):
    """A row of the table. One that was handed out is never changed: a change makes a new one.

    `content`: number of the host file with its bytes, 0 before the first
    write. `parent`: inode of the directory that holds a directory. `cookie`:
    cookie of the next name made in a directory.
    """

    __slots__ = ("content", "cookie", "parent")

    def __init__(  # noqa: PLR0917 - the columns, in their order
        self,
        inode: int,
        generation: int,
        mode: int,
        nlink: int,
        uid: int,
        gid: int,
        size: int,
        used: int,
        rdev: int,
        atime: int,
        mtime: int,
        ctime: int,
        content: int = 0,
        parent: int = 0,
        cookie: int = 0,
    ) -> None:
        self.inode = inode
        self.generation = generation
        self.mode = mode
        self.nlink = nlink
        self.uid = uid
        self.gid = gid
        self.size = size
        self.used = used
        self.rdev = rdev
        self.atime = atime
        self.mtime = mtime
        self.ctime = ctime
        self.content = content
        self.parent = parent
        self.cookie = cookie

    def values(self) -> tuple[int, ...]:
        """In the order of `schema.INODE_COLUMNS`."""
        return (
            self.inode,
            self.generation,
            self.mode,
            self.nlink,
            self.uid,
            self.gid,
            self.size,
            self.used,
            self.rdev,
            self.atime,
            self.mtime,
            self.ctime,
            self.content,
            self.parent,
            self.cookie,
        )

    def copy(self) -> "Inode":
        """An equal row, to be changed and `put`."""
        return Inode(
            self.inode,
            self.generation,
            self.mode,
            self.nlink,
            self.uid,
            self.gid,
            self.size,
            self.used,
            self.rdev,
            self.atime,
            self.mtime,
            self.ctime,
            self.content,
            self.parent,
            self.cookie,
        )

    def stamp(self, now: int, *, data: bool) -> None:
        """Note a change at `now` (ns): ctime and, where `data` changed, mtime; each at least 1 µs later than it was.

        Clients tell whether a file changed by comparing times, in µs. Only an
        mtime that somebody has set further ahead than a clock is put back becomes the present.
        """
        self.ctime = max(now, self.ctime + 1000)
        if data:
            self.mtime = now if self.mtime > now + _CLOCK_PUT_BACK else max(now, self.mtime + 1000)


def stale() -> OSError:
    """What a UFID answers that names no file any more."""
    return OSError(errno.ESTALE, "no such file any more")


def make_room(cache: dict[Any, Any]) -> None:
    """Drop the quarter of a full cache that came first."""
    for key in list(islice(cache, len(cache) // 4 + 1)):
        del cache[key]


class Inodes:
    """Rows of the inode table, and the numbers that are free."""

    def __init__(self, unit: Unit, database: Database, limits: VolumeLimits) -> None:
        self._unit = unit
        self._database = database
        self._limits = limits
        self._free = FreeNumbers(unit, database)
        self.quotas = Quotas(unit, database)
        self._cache: dict[int, Inode] = {}
        self._dirty: dict[int, Inode | None] = {}
        self._committed: dict[int, Inode | None] = {}
        self._state: dict[str, int] = {}
        self._committed_state: dict[str, int] = {}

    def get(self, node: Ufid) -> Inode:
        """The row of `node`; ESTALE if it is gone, or its number now another file's."""
        row = self._cache.get(node[0])
        if row is None:
            row = self.by_number(node[0])
        if row is None or row.generation != node[1]:
            raise stale()
        return row

    def at_hand(self, inode: int) -> Inode | None:
        """The row under a number if it is cached."""
        return self._cache.get(inode)

    def by_number(self, inode: int) -> Inode | None:
        """The row under a number, None if that is free."""
        row = self._cache.get(inode)
        if row is not None:
            return row
        if inode in self._dirty:
            return self._dirty[inode]
        found = self._database.one(schema.INODE_GET, (inode,))
        if found is None:
            return None
        if len(self._cache) >= self._limits.cached_inodes:
            make_room(self._cache)
        row = self._cache[inode] = Inode(*found)
        return row

    def committed(self, inode: int) -> Inode | None:
        """The row as it was before this unit."""
        return self._committed[inode] if inode in self._committed else self.by_number(inode)

    def put(self, row: Inode) -> None:
        """Make `row` the row of its number."""
        self._unit.check_changing()
        inode = row.inode
        if inode not in self._committed:
            self._committed[inode] = self.by_number(inode)
        if not self.quotas.idle:
            self.quotas.moved(self.by_number(inode), row)
        journal = self._unit.journal
        journal.set(self._cache, inode, row)
        journal.set(self._dirty, inode, row)

    def allocate(self) -> int:
        """A number for a new file: the lowest that was freed, else the next. ENOSPC when all are in use."""
        state = self._current()
        journal = self._unit.journal
        number = self._free.take()
        if not number:
            number = state["next_inode"]
            if number > self._limits.inode:
                raise OSError(errno.ENOSPC, "every inode number is in use")
            journal.set(state, "next_inode", number + 1)
        journal.set(state, "inodes", state["inodes"] + 1)
        # No row has it: nobody needs to ask the table for the one it had before.
        self._committed.setdefault(number, None)
        return number

    def free(self, row: Inode) -> None:
        """The file is gone, its number to be had again."""
        inode = row.inode
        self._unit.check_changing()
        self._free.add(inode)
        if inode not in self._committed:
            self._committed[inode] = self.by_number(inode)
        if not self.quotas.idle:
            self.quotas.moved(self.by_number(inode), None)
        state = self._current()
        journal = self._unit.journal
        journal.set(state, "inodes", state["inodes"] - 1)
        journal.drop(self._cache, inode)
        journal.set(self._dirty, inode, None)

    def _current(self) -> dict[str, int]:
        if not self._state:
            following, count = self._database.one(schema.STATE_GET)
            self._state.update(next_inode=following, inodes=count)
            self._committed_state = dict(self._state)
        return self._state

    def counts(self) -> tuple[int, int]:
        """(inodes in use, inode numbers still to be had)."""
        used = self._current()["inodes"]
        return used, self._limits.inode - 1 - used

    def flush(self) -> None:
        """Write the rows of this unit."""
        if self._dirty:
            gone = [(inode,) for inode, row in self._dirty.items() if row is None]
            if gone:
                self._database.many(schema.INODE_DELETE, gone)
            self._database.many(schema.INODE_PUT, [row.values() for row in self._dirty.values() if row is not None])
        self._free.flush()
        self.quotas.flush()
        if self._state != self._committed_state:
            self._database.run(schema.STATE_SET, (self._state["next_inode"], self._state["inodes"]))

    def settle(self, outcome: Outcome) -> None:
        """What was written is what holds now."""
        self._dirty.clear()
        self._committed.clear()
        self._committed_state = dict(self._state)
        self._free.settle()
        self.quotas.settle()
        while len(self._cache) > self._limits.cached_inodes:
            make_room(self._cache)

    def forget(self) -> None:
        """Drop every row."""
        self._cache.clear()
        self._dirty.clear()
        self._state.clear()
        self._free.forget()
        self.quotas.forget()
        self._committed_state = {}
