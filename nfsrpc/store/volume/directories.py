"""The directory service: text names of files, by directory, on top of the flat file service.

Its operations are the textbook's: lookup, add name, un-name, get names; and
rename in place, which two of them could not do in one step.
"""

import errno
from collections.abc import Callable
from typing import Final

from ..interface import DIRECTORY, KIND, Entry, Ufid
from . import schema
from .database import Database, blob
from .inodes import Inode, Inodes, make_room, stale
from .limits import VolumeLimits
from .unit import Outcome, Unit

Key = tuple[int, bytes]
"""(inode of the directory, name)"""

COOKIE_SELF: Final = 1
COOKIE_PARENT: Final = 2
COOKIE_FIRST: Final = 3
"""Cookies of ``.``, ``..``, and of the first name that a directory is given."""

_RENUMBERED_AT_ONCE: Final = 1000
_SLASH: Final = ord("/")


class Directories:
    """Names. Attributes of the directory change with them; link counts are the composition's, see `volume`."""

    def __init__(
        self, unit: Unit, database: Database, inodes: Inodes, limits: VolumeLimits, now: Callable[[], int]
    ) -> None:
        self._unit = unit
        self._database = database
        self._inodes = inodes
        self._limits = limits
        self._now = now
        self._cache: dict[Key, int] = {}
        self._gone: dict[Key, None] = {}
        self._added: dict[Key, tuple[int, int]] = {}

    # --- reading ----------------------------------------------------------------------------------------------------

    def get(self, directory: Ufid) -> Inode:
        """The row of a directory; ENOTDIR if it is something else."""
        row = self._inodes.get(directory)
        if row.mode & KIND != DIRECTORY:
            raise NotADirectoryError(errno.ENOTDIR, "not a directory")
        return row

    def lookup(self, directory: Ufid, name: bytes) -> Inode:
        """The file under `name`; ENOENT if there is none."""
        row = self.find(directory, name)
        if row is None:
            raise FileNotFoundError(errno.ENOENT, "no such name")
        return row

    def find(self, directory: Ufid, name: bytes) -> Inode | None:
        """The file under `name`, None if there is none."""
        above = self.get(directory)
        number = self._cache.get((above.inode, name))
        if number:
            row = self._inodes.at_hand(number)
            if row is not None:
                return row
        self._unit.fix()
        number = self.number(self.get(directory), name)
        if not number:
            return None
        row = self._inodes.by_number(number)
        if row is None:
            raise OSError(errno.EIO, "the name leads to no file")
        return row

    def number(self, directory: Inode, name: bytes) -> int:
        """Inode number under `name`, 0 if there is none."""
        key = (directory.inode, name)
        number = self._cache.get(key)
        if number is not None:
            return number
        if name == b".":
            return directory.inode
        if name == b"..":
            return directory.parent
        if len(name) > self._limits.name:
            raise OSError(errno.ENAMETOOLONG, "name too long")
        number = self._written(key)
        if len(self._cache) >= self._limits.cached_names:
            make_room(self._cache)
        self._cache[key] = number
        return number

    def _written(self, key: Key) -> int:
        added = self._added.get(key)
        if added is not None:
            return added[0]
        if key in self._gone:
            return 0
        found = self._database.one(schema.NAME_GET, (key[0], blob(key[1])))
        return int(found[0]) if found else 0

    def names(self, directory: Ufid, cookie: int, limit: int) -> tuple[list[Entry], bool]:
        """At most `limit` entries behind `cookie`, and whether the last of them is the directory's last."""
        self._unit.fix()
        row = self.get(directory)
        entries = [
            entry
            for entry in (Entry(row.inode, b".", COOKIE_SELF), Entry(row.parent, b"..", COOKIE_PARENT))
            if entry.cookie > cookie
        ]
        if len(entries) > limit:
            return entries[:limit], False
        wanted = limit - len(entries)
        self._write_out()
        rows = self._database.all(schema.NAME_PAGE, (row.inode, cookie, wanted + 1))
        entries.extend(map(Entry._make, rows[:wanted]))
        return entries, len(rows) <= wanted

    def is_empty(self, directory: Inode) -> bool:
        """Whether only ``.`` and ``..`` are left."""
        self._write_out()
        return self._database.one(schema.NAME_ANY, (directory.inode,)) is None

    def is_within(self, directory: Inode, ancestor: Inode) -> bool:
        """Whether `directory` is `ancestor` or lies below it."""
        row = directory
        while row.inode != ancestor.inode:
            if row.parent == row.inode:
                return False
            above = self._inodes.by_number(row.parent)
            if above is None:
                raise stale()
            row = above
        return True

    # --- changing ---------------------------------------------------------------------------------------------------

    def check_new(self, name: bytes) -> None:
        """EINVAL or ENAMETOOLONG for what no file may be called."""
        if name in (b"", b".", b"..") or _SLASH in name or 0 in name:
            raise OSError(errno.EINVAL, "not a name")
        if len(name) > self._limits.name:
            raise OSError(errno.ENAMETOOLONG, "name too long")

    def add_name(self, directory: Inode, name: bytes, inode: int, subdirectories: int = 0) -> None:
        """Let `name`, which is free, lead to `inode`. `subdirectories`: how many the directory has more by that."""
        row = directory.copy()
        if row.cookie > self._limits.cookie:
            row.cookie = self._number_anew(row.inode)
        self._put_name((row.inode, name), inode, row.cookie)
        row.cookie += 1
        self._changed(row, subdirectories)

    def un_name(self, directory: Inode, name: bytes, subdirectories: int = 0) -> None:
        """Take `name` away. `subdirectories`: how many the directory has more by that, so -1 or 0."""
        row = directory.copy()
        self._drop_name((row.inode, name))
        self._changed(row, subdirectories)

    def change_name(self, directory: Inode, old: bytes, new: bytes, inode: int) -> None:
        """`new` for `old`, which leads to `inode`; the entry keeps its cookie, so a page already read stays read."""
        row = directory.copy()
        key = (row.inode, old)
        cookie = self._cookie(key)
        self._drop_name(key)
        self._put_name((row.inode, new), inode, cookie)
        self._changed(row, 0)

    def _cookie(self, key: Key) -> int:
        added = self._added.get(key)
        if added is not None:
            return added[1]
        found = self._database.one(schema.NAME_COOKIE_GET, key)
        if found is None:
            raise OSError(errno.EIO, "the name is not where it was found")
        return int(found[0])

    def _put_name(self, key: Key, inode: int, cookie: int) -> None:
        self._unit.check_changing()
        journal = self._unit.journal
        journal.set(self._added, key, (inode, cookie))
        journal.set(self._cache, key, inode)

    def _drop_name(self, key: Key) -> None:
        self._unit.check_changing()
        journal = self._unit.journal
        if key in self._added:
            # What the table has under this name, if anything, is gone already.
            journal.drop(self._added, key)
        else:
            journal.set(self._gone, key, None)
        journal.set(self._cache, key, 0)

    def _changed(self, row: Inode, subdirectories: int) -> None:
        row.nlink += subdirectories
        if row.nlink > self._limits.links:
            raise OSError(errno.EMLINK, "too many subdirectories")
        row.stamp(self._now(), data=True)
        self._inodes.put(row)

    def _number_anew(self, directory: int) -> int:
        """All cookies from `COOKIE_FIRST` on, in the order they are in; returns the next. ENOSPC if there is none.

        New cookies are never above the old ones, so going upward none meets
        one that is still in use.
        """
        self._write_out()
        following = COOKIE_FIRST
        last = 0
        while page := self._database.all(schema.NAME_PAGE, (directory, last, _RENUMBERED_AT_ONCE)):
            for _, name, cookie in page:
                if cookie != following:
                    self._unit.run(schema.NAME_COOKIE, (following, directory, name))
                following += 1
                last = cookie
        if following > self._limits.cookie:
            raise OSError(errno.ENOSPC, "the directory is full")
        return following

    # --- the unit ---------------------------------------------------------------------------------------------------

    def _write_out(self) -> None:
        """Bring the table up to date. Names go first: one that comes may have the cookie of one that goes."""
        journal = self._unit.journal
        if self._gone:
            self._unit.many(schema.NAME_DELETE, self._gone)
            journal.clear(self._gone)
        if self._added:
            rows = [(above, blob(name), inode, cookie) for (above, name), (inode, cookie) in self._added.items()]
            self._unit.many(schema.NAME_ADD, rows)
            journal.clear(self._added)

    def flush(self) -> None:
        """Write the names of this unit."""
        self._write_out()

    def settle(self, outcome: Outcome) -> None:
        """What is cached holds on; a unit that failed has dropped it already."""
        self._gone.clear()
        self._added.clear()
        while len(self._cache) > self._limits.cached_names:
            make_room(self._cache)

    def forget(self) -> None:
        """Drop every name."""
        self._cache.clear()
        self._gone.clear()
        self._added.clear()
